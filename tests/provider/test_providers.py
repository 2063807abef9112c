"""Real SDKs, real HTTP, real protocols: only the provider at the other end is not real."""

import asyncio
import json
from typing import Any

import pytest
from harness.aimock import Provider
from harness.conversations import LONG
from harness.listed import Listed

from turnline_schemas.event_data import (
    Diagnostic,
    ReasoningDelta,
    StepReset,
    TextDelta,
    ToolResult,
)
from turnline_workers import Assistant, MemoryStore, Session, Tool, policies
from turnline_workers.interaction.outcome import Completed, Failed
from turnline_workers.interaction.run_model import Retry

MODELS = {
    "chat": "openai-chat:gpt-4o",
    "responses": "openai:gpt-5-mini",
    "anthropic": "anthropic:claude-haiku-5-5",
}
QUICK = Retry(tries=3, first=0.01, silence=20)

pytestmark = pytest.mark.usefixtures("provider")
protocols = pytest.mark.parametrize("protocol", MODELS)


class Talk:
    """One session with a model, and what was told of it."""

    def __init__(self, protocol: str, **options: Any) -> None:
        self.protocol = protocol
        self.ran: list[str] = []
        self.events = Listed()
        options.setdefault("retry", QUICK)
        self.assistant = Assistant(
            MODELS[protocol], instructions="Be brief.", tools=[Tool(self.get_weather)], **options
        )
        self.session = Session(
            f"talk-{protocol}", assistant=self.assistant, store=MemoryStore(), events=self.events
        )

    async def get_weather(self, city: str) -> dict[str, str]:
        """Tell the weather of a city."""
        self.ran.append(city)
        return {"city": city, "sky": "clear"}

    def say(self, text: str) -> Completed | Failed:
        """Play one turn."""
        outcome = self.session.send_sync(text)
        assert isinstance(outcome, Completed | Failed)
        return outcome

    def told(self, kind: type) -> list[Any]:
        """Return the data of events of one kind."""
        return [event.data for event in self.events.events if isinstance(event.data, kind)]

    def text(self) -> str:
        """Return the text that was streamed since the last reset."""
        data = [event.data for event in self.events.events]
        resets = [number for number, each in enumerate(data) if isinstance(each, StepReset)]
        since = data[resets[-1] if resets else 0 :]
        return "".join(each.delta for each in since if type(each) is TextDelta)


@protocols
def test_text_and_reasoning_stream_and_are_counted(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol)

    outcome = talk.say("say hello")

    assert isinstance(outcome, Completed)
    assert outcome.messages[-1].text == talk.text() == "Hello from far away."
    assert outcome.finish_reason in {"stop", "completed"}
    assert (outcome.usage.input, outcome.usage.output) == (40, 8)
    if protocol != "chat":  # which has no reasoning
        assert "".join(each.delta for each in talk.told(ReasoningDelta)) == "A greeting."
    raw = talk.session.state.private["raw"]
    assert raw[f"{MODELS[protocol]}:usage"]["input_tokens"] == 40
    assert json.dumps(raw).count("Hello from far away.") == 0


@protocols
def test_a_conversation_is_sent_again_as_it_was(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol)
    talk.say("say hello")
    talk.say(f"say hello again {protocol}")

    (asked,) = provider.requests(f"say hello again {protocol}")

    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "Be brief." in json.dumps(asked["messages"][0])


@protocols
def test_parallel_calls_run_and_their_results_are_given_back(
    protocol: str, provider: Provider
) -> None:
    talk = Talk(protocol)

    outcome = talk.say(f"{protocol} weather")

    assert isinstance(outcome, Completed), outcome
    assert sorted(talk.ran) == ["Oslo", "Rome"]
    assert outcome.messages[-1].text == "Clear in both."
    asked = provider.requests(f"{protocol} weather")
    assert len(asked) == 2
    ids = [call["id"] for message in asked[1]["messages"] for call in message.get("tool_calls", [])]
    answered = [each["tool_call_id"] for each in asked[1]["messages"] if each["role"] == "tool"]
    assert sorted(ids) == sorted(answered)
    assert len(set(ids)) == 2


@protocols
def test_a_provider_that_is_busy_twice_answers_in_the_end(
    protocol: str, provider: Provider
) -> None:
    talk = Talk(protocol)

    outcome = talk.say(f"{protocol} busy")

    assert isinstance(outcome, Completed), outcome
    assert outcome.messages[-1].text == "Here I am."
    assert len(provider.requests(f"{protocol} busy")) == 3
    told = [each.message for each in talk.told(Diagnostic)]
    assert len(told) == 2
    assert all("asked too often (HTTP 429)" in each and "again in 1 s" in each for each in told)


@protocols
def test_a_stream_that_breaks_off_begins_again(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol)

    outcome = talk.say(f"{protocol} drop")

    assert isinstance(outcome, Completed), outcome
    assert outcome.messages[-1].text == talk.text() == LONG
    assert len(talk.told(StepReset)) == 1
    assert len(provider.requests(f"{protocol} drop")) == 2


@protocols
def test_half_a_call_is_never_run(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol)

    outcome = talk.say(f"{protocol} half")

    assert isinstance(outcome, Completed), outcome
    assert talk.ran == ["Oslo"]
    assert len(talk.told(StepReset)) == 1, "nothing of the half call was told"
    assert len(talk.told(ToolResult)) == 1
    assert len(provider.requests(f"{protocol} half")) == 3


@protocols
def test_a_provider_that_never_answers_fails_the_turn(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol, retry=Retry(tries=2, first=0.01, silence=0.5))

    outcome = talk.say(f"{protocol} silence")

    assert isinstance(outcome, Failed)
    assert outcome.code == "model_error"
    assert outcome.retryable
    assert "said nothing for 0.5 s" in outcome.message
    assert len(talk.told(Diagnostic)) == 1


@protocols
@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("key", "does not accept the credentials"),
        ("wrong", "Unknown parameter 'x'"),
        ("credit", "no credit left"),
    ],
)
def test_what_will_never_succeed_is_asked_once(
    protocol: str, about: str, said: str, provider: Provider
) -> None:
    talk = Talk(protocol)

    outcome = talk.say(f"{protocol} {about}")

    assert isinstance(outcome, Failed)
    assert said in outcome.message
    assert not outcome.retryable
    assert "sk-test" not in outcome.message
    assert len(provider.requests(f"{protocol} {about}")) == 1
    assert talk.session.state.private["raw"][f"{MODELS[protocol]}:error"]["raw"]["status"] >= 400


@protocols
def test_a_view_that_is_too_long_is_summarized_once(protocol: str, provider: Provider) -> None:
    talk = Talk(protocol, policies=[policies.summarize_when(tokens=1_000_000)])
    talk.say("say hello")

    outcome = talk.say(f"{protocol} overflow")

    assert isinstance(outcome, Completed), outcome
    assert outcome.messages[-1].text == "It is short now."
    summary, *said = talk.session.state.messages
    assert summary.text.endswith("They greeted each other.")
    assert [message.role for message in said] == ["user", "assistant"]
    assert talk.say(f"{protocol} endless").code == "context_overflow"  # type: ignore[union-attr]


@protocols
def test_a_session_goes_on_after_a_failed_turn(protocol: str) -> None:
    talk = Talk(protocol)
    talk.say(f"{protocol} key")

    assert isinstance(talk.say("say hello"), Completed)


def test_a_turn_that_is_given_up_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(_give_up(monkeypatch))


async def _give_up(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Cancel a turn in the middle of an endless answer; say whether the provider saw it end."""
    ended = asyncio.Event()
    chunk = {"object": "chat.completion.chunk", "id": "1", "created": 1, "model": "m"}
    chunk["choices"] = [{"index": 0, "delta": {"content": "on and "}, "finish_reason": None}]  # type: ignore[assignment]

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        try:
            while True:
                writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            ended.set()
        finally:
            writer.close()

    async with await asyncio.start_server(stream, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        talk = Talk("chat")
        turn = asyncio.ensure_future(talk.session.send("Hello!"))
        while not talk.text():
            await asyncio.sleep(0.01)
        turn.cancel()
        await asyncio.wait([turn])
        await asyncio.wait_for(ended.wait(), 10)
        await talk.assistant.adapter.aclose()  # type: ignore[union-attr]
    return ended.is_set()


def test_a_policy_summarizes_with_the_model_of_its_assistant(provider: Provider) -> None:
    talk = Talk("chat", policies=[policies.summarize_when(tokens=1, keep_turns=0)])

    talk.say("say hello")

    (summary,) = talk.session.state.messages
    assert summary.role == "system"
    assert summary.text.endswith("They greeted each other.")
