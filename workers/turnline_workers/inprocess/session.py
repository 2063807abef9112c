"""A session that is played right here: ``await Session(...).send("Hello!")``."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter

from turnline_producer.turn_ids import new_turn_id
from turnline_schemas.errors import (
    ConflictError,
    InvalidInputError,
    TryLaterError,
    TurnlineError,
)
from turnline_schemas.event_data import AttemptSuperseded, EventData, TurnFailed
from turnline_schemas.ids import check_session
from turnline_schemas.message import Message, ResumeMessage, TurnMessage, validated
from turnline_workers.inprocess.stores import MemoryStore, SessionStore
from turnline_workers.inprocess.streams import EventStream, FanOut
from turnline_workers.inprocess.teller import Teller
from turnline_workers.inprocess.waiting import Waiting, waiting_in, with_waiting, without_waiting
from turnline_workers.interaction.answers import wrong_answer
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.journal import Entry, Journal, Record
from turnline_workers.interaction.outcome import Outcome, Paused, ending
from turnline_workers.interaction.play import play
from turnline_workers.interaction.state import InteractionState, Run, TurnState

_TURN: Final = TypeAdapter(TurnMessage)
_RESUME: Final = TypeAdapter(ResumeMessage)


class SessionPausedError(ConflictError):
    """The session waits for an answer, so ``resume`` or ``cancel`` it first; or it does not."""

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
            InvalidMessageError: ``session`` can be no session's id.
            ConfigurationError: the model's library or key is missing; the text says which.
        """
        check_session(session)
        self.session = session
        self.state = InteractionState()
        """As of the last call."""
        assistant.check()
        self._assistant = assistant
        self._store: SessionStore = store or MemoryStore()
        self._events = FanOut(events) if events is not None else FanOut()
        self._context = dict(context or {})
        self._one_at_a_time = asyncio.Lock()
        self._one_thread_at_a_time = threading.Lock()

    async def send(
        self,
        message: str | Message,
        *,
        turn: str | None = None,
        context: Mapping[str, JsonValue] | None = None,
    ) -> Outcome:
        """Play one turn and return how it ended.

        A turn before it whose question has expired is ended first.

        Raises:
            SessionPausedError: the turn before waits for an answer.
            InvalidMessageError: the message, the turn's id or the context is wrong, as for a
                producer; the text names what.
            StaleStateError: another process played the session meanwhile, and this turn is lost;
                send it again.
            Exception: what the store raised when the turn was over, which then ended with
                ``turn.failed``.
        """
        asked = self._checked(message, turn, context)
        async with self._one_at_a_time:
            state = await self._load()
            waiting = waiting_in(state)
            if waiting is not None and waiting.is_over(_now()):
                await self._expire(state, waiting)
                state = await self._load()
                waiting = waiting_in(state)
            if waiting is not None:
                raise SessionPausedError(
                    f"session {self.session!r} waits for an answer: resume() or cancel()"
                )
            begun = self._turn(state, asked.turn, asked.message, asked.context)
            return await self._play(begun, [], attempt=1)

    def send_sync(self, message: str | Message, **options: Any) -> Outcome:
        """Do as ``send``, where no event loop runs."""
        return self._run(self.send(message, **options))

    def _run(self, playing: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Play in an event loop of its own; threads wait for each other."""
        with self._one_thread_at_a_time:
            return asyncio.run(self._once(playing))

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

        If it is too late for an answer, ``value`` does not count and the turn goes on without:
        what asked gets ``PauseExpiredError``, and a step that does not catch it fails the turn
        with ``pause_expired``.

        Raises:
            SessionPausedError: it is not paused.
            InvalidInputError: the answer does not satisfy the question's schema.
            StaleStateError: another process answered meanwhile.
        """
        async with self._one_at_a_time:
            state, waiting = await self._load_waiting()
            if waiting.is_over(_now()):
                return await self._expire(state, waiting)
            names = {"session": self.session, "turn": waiting.turn, "pause": waiting.pause}
            answer: ResumeMessage = validated(_RESUME, {**names, "value": value})
            problem = wrong_answer(waiting.answer_schema, answer.value)
            if problem is not None:
                raise InvalidInputError(f"not what session {self.session!r} asks for: {problem}")
            return await self._go_on(state, waiting, Entry("answer", waiting.pause, answer.value))

    def resume_sync(self, value: JsonValue = None) -> Outcome:
        """Do as ``resume``, where no event loop runs."""
        return self._run(self.resume(value))

    async def cancel(self, reason: str = "cancelled") -> Outcome:
        """End the turn that waits for an answer, as cancelled; what it said so far is kept.

        Args:
            reason: is published.

        Raises:
            SessionPausedError: the session is not paused.
            StaleStateError: another process answered meanwhile.
        """
        async with self._one_at_a_time:
            state, waiting = await self._load_waiting()
            return await self._go_on(state, waiting, cancelled=reason)

    def cancel_sync(self, reason: str = "cancelled") -> Outcome:
        """Do as ``cancel``, where no event loop runs."""
        return self._run(self.cancel(reason))

    def _checked(
        self, message: object, turn: str | None, context: Mapping[str, JsonValue] | None
    ) -> TurnMessage:
        """Return what was asked for, once it is what a producer would accept too."""
        asked: TurnMessage = validated(
            _TURN,
            {
                "session": self.session,
                "turn": new_turn_id() if turn is None else turn,
                "message": {"role": "user", "content": message}
                if isinstance(message, str)
                else message,
                "context": {} if context is None else context,
            },
        )
        return asked

    async def _load(self) -> InteractionState:
        loaded = await self._store.load(self.session, self._context)
        self.state = loaded or InteractionState()
        return self.state

    async def _load_waiting(self) -> tuple[InteractionState, Waiting]:
        state = await self._load()
        waiting = waiting_in(state)
        if waiting is None:
            raise SessionPausedError(f"session {self.session!r} does not wait for an answer")
        return state, waiting

    async def _expire(self, state: InteractionState, waiting: Waiting) -> Outcome:
        return await self._go_on(state, waiting, Entry("expired", waiting.pause))

    async def _go_on(
        self,
        state: InteractionState,
        waiting: Waiting,
        *more: Entry,
        cancelled: str | None = None,
    ) -> Outcome:
        """Play the next attempt at a turn that waits, with ``more`` to know."""
        before = without_waiting(state)
        begun = self._turn(before, waiting.turn, waiting.input, waiting.context)
        entries = [*waiting.entries, *more]
        return await self._play(begun, entries, attempt=waiting.attempt + 1, cancelled=cancelled)

    def _turn(
        self, state: InteractionState, turn: str, said: Message, context: dict[str, JsonValue]
    ) -> TurnState:
        return TurnState(turn, said, context, state, session=self.session)

    async def _play(
        self,
        turn: TurnState,
        entries: list[Entry],
        *,
        attempt: int,
        cancelled: str | None = None,
    ) -> Outcome:
        turn = replace(turn, run=Run(Journal(entries), time.monotonic))
        teller = Teller(self._events, self.session, turn.turn, attempt, turn.state.last_seq)
        if attempt > 1:
            await teller.tell(AttemptSuperseded(attempt=attempt - 1, reason="handed_over"))
        async for item in play(self._assistant, turn, cancelled=lambda: cancelled):
            if isinstance(item, Record):
                entries.extend(item.entries)
            elif isinstance(item, EventData):
                await teller.tell(item)
            else:
                return await self._end(item, turn, entries, teller)
        raise AssertionError("a play ends with its outcome")

    async def _end(
        self, outcome: Outcome, turn: TurnState, entries: Sequence[Entry], teller: Teller
    ) -> Outcome:
        if isinstance(outcome, Paused):
            # Whatever the assistant says of workers, ``send`` refuses.
            outcome = Paused(replace(outcome.question, later_turns="refuse"))
            event: EventData = outcome.question.event()
            after = with_waiting(
                turn, outcome.question, entries, attempt=teller.attempt, now=_now()
            )
        else:
            event = ending(outcome)
            after = outcome.state
        # A policy may have made the state anew; what it replaces is what the turn began with.
        revision = turn.state.revision
        saved = replace(after, last_seq=teller.seq + 1, revision=revision)
        try:
            await self._store.save(self.session, saved, self._context)
        except Exception as error:
            await teller.tell(_unsaved(error))
            raise
        self.state = replace(saved, revision=revision + 1)
        # What is told is stored.
        await teller.tell(event)
        return outcome


def _unsaved(error: Exception) -> TurnFailed:
    """Return the end of a turn that the store did not take."""
    code = error.code if isinstance(error, TurnlineError) else "store_error"
    # A conflict is over once the session is loaded again.
    retryable = isinstance(error, TryLaterError | ConflictError)
    return TurnFailed(code=code, message=str(error), retryable=retryable)


def _now() -> datetime:
    return datetime.now(UTC)
