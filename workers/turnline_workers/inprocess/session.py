"""A session that is played right here: ``await Session(...).send("Hello!")``."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from turnline_producer.turn_ids import new_turn_id
from turnline_schemas.errors import ConflictError, InvalidInputError
from turnline_schemas.event import Event
from turnline_schemas.event_data import EVENT_TYPES, AttemptSuperseded, EventData
from turnline_schemas.message import Message
from turnline_workers.inprocess.stores import MemoryStore, SessionStore
from turnline_workers.inprocess.streams import EventStream, FanOut
from turnline_workers.interaction.answers import wrong_answer
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.journal import Entry, Journal, Record
from turnline_workers.interaction.outcome import Outcome, Paused, ending
from turnline_workers.interaction.pause import Question
from turnline_workers.interaction.play import play
from turnline_workers.interaction.state import InteractionState, Run, TurnState

PAUSE = "pause"
"""Key of the private state that holds a paused turn."""


class SessionPausedError(ConflictError):
    """The session waits for an answer; ``resume`` it first."""

    code = "session_paused"


class Session:
    """Plays the turns of one session, one at a time, in this process.

    For scripts, tests and notebooks; for many sessions and crashes there are workers, which play
    the same assistants.
    """

    def __init__(
        self,
        session: str,
        *,
        assistant: Assistant,
        store: SessionStore | None = None,
        events: EventStream | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the assistant's model, and touch nothing yet.

        Args:
            store: where the state lives; in memory unless given.
            events: where events go; nowhere unless given.
            context: handed to the store, such as a tenant.

        Raises:
            ConfigurationError: the model's library or key is missing; the text says which.
        """
        self.session = session
        self.state = InteractionState()
        """As of the last call."""
        assistant.check()
        self._assistant = assistant
        self._store: SessionStore = store or MemoryStore()
        self._events = FanOut(events) if events is not None else FanOut()
        self._context = dict(context or {})
        self._one_at_a_time = asyncio.Lock()

    async def send(
        self,
        message: str | Message,
        *,
        turn: str | None = None,
        context: Mapping[str, JsonValue] | None = None,
    ) -> Outcome:
        """Play one turn and return how it ended.

        Raises:
            SessionPausedError: the turn before waits for an answer.
            InvalidInputError: there is no text to send.
            StaleStateError: another process played the session meanwhile, and this turn is lost;
                send it again.
        """
        said = Message(role="user", content=message) if isinstance(message, str) else message
        if isinstance(said.content, str) and not said.content.strip():
            raise InvalidInputError("message is empty")
        async with self._one_at_a_time:
            state = await self._load()
            if PAUSE in state.private:
                raise SessionPausedError(f"session {self.session!r} waits for an answer: resume()")
            begun = self._turn(state, turn or new_turn_id(), said, dict(context or {}))
            return await self._play(begun, [], attempt=1)

    def send_sync(self, message: str | Message, **options: Any) -> Outcome:
        """Do as ``send``, where no event loop runs."""
        return asyncio.run(self._once(self.send(message, **options)))

    async def _once(self, playing: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Play, and leave no connection behind: the event loop ends with it."""
        try:
            return await playing
        finally:
            close = getattr(self._assistant.adapter, "aclose", None)
            if close is not None:
                await close()

    async def resume(self, value: JsonValue = None) -> Outcome:
        """Answer what the session is paused for, and return how the turn ended.

        Raises:
            SessionPausedError: it is not paused.
            InvalidInputError: the answer does not satisfy the question's schema.
            StaleStateError: another process answered meanwhile.
        """
        async with self._one_at_a_time:
            state = await self._load()
            if PAUSE not in state.private:
                raise SessionPausedError(f"session {self.session!r} does not wait for an answer")
            paused = state.private[PAUSE]
            problem = wrong_answer(paused["answer_schema"], value)
            if problem is not None:
                raise InvalidInputError(f"not what session {self.session!r} asks for: {problem}")
            private = {key: each for key, each in state.private.items() if key != PAUSE}
            entries = [Entry(each["kind"], each["id"], each["value"]) for each in paused["entries"]]
            entries.append(Entry("answer", paused["pause"], value))
            begun = self._turn(
                replace(state, private=private),
                paused["turn"],
                Message.model_validate(paused["input"]),
                paused["context"],
            )
            return await self._play(begun, entries, attempt=paused["attempt"] + 1)

    def resume_sync(self, value: JsonValue = None) -> Outcome:
        """Do as ``resume``, where no event loop runs."""
        return asyncio.run(self._once(self.resume(value)))

    async def _load(self) -> InteractionState:
        loaded = await self._store.load(self.session, self._context)
        self.state = loaded or InteractionState()
        return self.state

    def _turn(
        self, state: InteractionState, turn: str, said: Message, context: dict[str, JsonValue]
    ) -> TurnState:
        return TurnState(turn, said, context, state, session=self.session)

    async def _play(self, turn: TurnState, entries: list[Entry], *, attempt: int) -> Outcome:
        turn = replace(turn, run=Run(Journal(entries), time.monotonic))
        teller = _Teller(self._events, self.session, turn.turn, attempt, turn.state.last_seq)
        if attempt > 1:
            await teller.tell(AttemptSuperseded(attempt=attempt - 1, reason="handed_over"))
        async for item in play(self._assistant, turn):
            if isinstance(item, Record):
                entries.extend(item.entries)
            elif isinstance(item, EventData):
                await teller.tell(item)
            else:
                return await self._end(item, turn, entries, teller)
        raise AssertionError("a play ends with its outcome")

    async def _end(
        self, outcome: Outcome, turn: TurnState, entries: list[Entry], teller: "_Teller"
    ) -> Outcome:
        if isinstance(outcome, Paused):
            event: EventData = outcome.question.event()
            paused = _paused(turn, outcome.question, entries, teller.attempt)
            after = replace(turn.state, private={**turn.state.private, PAUSE: paused})
        else:
            event = ending(outcome)
            after = outcome.state
        # A policy may have made the state anew; what it replaces is what the turn began with.
        revision = turn.state.revision
        saved = replace(after, last_seq=teller.seq + 1, revision=revision)
        await self._store.save(self.session, saved, self._context)
        self.state = replace(saved, revision=revision + 1)
        # What is told is stored.
        await teller.tell(event)
        return outcome


class _Teller:
    """Numbers the events of one attempt."""

    def __init__(
        self, events: EventStream, session: str, turn: str, attempt: int, seq: int
    ) -> None:
        self._events = events
        self._session = session
        self._turn = turn
        self.attempt = attempt
        self.seq = seq

    async def tell(self, data: EventData) -> None:
        """Emit ``data`` with the next number."""
        self.seq += 1
        event = Event(
            seq=self.seq,
            session=self._session,
            turn=self._turn,
            attempt=self.attempt,
            ts=time.time_ns() // 1_000_000,
            type=EVENT_TYPES[type(data)],
            data=data,
        )
        await self._events.emit(event)


def _paused(
    turn: TurnState, question: Question, entries: list[Entry], attempt: int
) -> dict[str, Any]:
    return {
        "turn": turn.turn,
        "attempt": attempt,
        "input": turn.input.model_dump(mode="json"),
        "context": turn.context,
        "entries": [{"kind": e.kind, "id": e.id, "value": e.value} for e in entries],
        **question.event().model_dump(mode="json"),
    }
