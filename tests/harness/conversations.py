"""What the server in place of providers answers, by the user's words."""

from typing import Any

LONG = "It is a long answer that comes in many pieces, one after another, until it ends."


def says(text: str, **more: Any) -> dict[str, Any]:
    """Return an answer of text."""
    usage = {"prompt_tokens": 40, "completion_tokens": 8, "input_tokens": 40, "output_tokens": 8}
    return {"content": text, "usage": usage, **more}


def calls(*cities: str, **more: Any) -> dict[str, Any]:
    """Return an answer that asks for the weather of some cities."""
    wanted = [{"name": "get_weather", "arguments": f'{{"city": "{city}"}}'} for city in cities]
    return {"toolCalls": wanted, **more}


def fails(status: int, message: str, code: str, **more: Any) -> dict[str, Any]:
    """Return an error."""
    told = {"message": message, "type": code, "code": code}
    return {"error": told, "status": status, **more}


def first(about: str, response: dict[str, Any], times: int = 1, **how: Any) -> list[dict[str, Any]]:
    """Return what is answered to the first requests."""
    return [
        {"match": {"userMessage": about, "sequenceIndex": number}, "response": response, **how}
        for number in range(times)
    ]


def always(about: str, response: dict[str, Any], **how: Any) -> dict[str, Any]:
    """Return what is answered to the others."""
    return {"match": {"userMessage": about}, "response": response, **how}


def after_tools(about: str, response: dict[str, Any]) -> dict[str, Any]:
    """Return what is answered once there are results of tools."""
    return {"match": {"userMessage": about, "hasToolResult": True}, "response": response}


def fixtures() -> list[dict[str, Any]]:
    """Return all conversations, for each of the protocols."""
    hello = says("Hello from far away.", reasoning="A greeting.")
    summary = says("They greeted each other.")
    slowly = after_tools("slow staff", says("Clear in both.")) | {"latency": 1500}
    found = [slowly, *of_staff("slow staff"), *of_staff("busy staff"), *of_staff("other staff")]
    found += [always("say hello", hello), always("Summarize the conversation", summary)]
    for protocol in ("chat", "responses", "anthropic"):
        found += of_protocol(protocol)
    return found


def of_staff(about: str) -> list[dict[str, Any]]:
    """Return a conversation in which tools are called and then not."""
    return [after_tools(about, says("Clear in both.")), always(about, calls("Oslo", "Rome"))]


def of_protocol(name: str) -> list[dict[str, Any]]:
    """Return the conversations that count their requests, and so are each protocol's own."""
    begin = 3 if name == "responses" else 0
    """More pieces that say nothing yet."""
    if name == "anthropic":
        credit = fails(400, "Your credit balance is too low", "invalid_request_error")
        overflow = fails(400, "prompt is too long: 9000 tokens", "invalid_request_error")
    else:
        credit = fails(429, "You exceeded your quota", "insufficient_quota")
        overflow = fails(400, "The context is too long", "context_length_exceeded")
    return [
        *first(f"{name} overflow", overflow),
        always(f"{name} overflow", says("It is short now.")),
        always(f"{name} endless", overflow),
        after_tools(f"{name} weather", says("Clear in both.")),
        always(f"{name} weather", calls("Oslo", "Rome", content="I look.")),
        *first(f"{name} busy", fails(429, "slow down", "rate_limit_error", retryAfter=1), 2),
        always(f"{name} busy", says("Here I am.")),
        *first(f"{name} drop", says(LONG), truncateAfterChunks=5 + begin, latency=20),
        always(f"{name} drop", says(LONG)),
        after_tools(f"{name} half", says("Clear.")),
        *first(
            f"{name} half", calls("Oslo in the north"), truncateAfterChunks=4 + begin, latency=20
        ),
        always(f"{name} half", calls("Oslo")),
        always(f"{name} silence", says("Too late."), latency=600_000),
        always(f"{name} key", fails(401, "Incorrect key sk-test-0000", "invalid_api_key")),
        always(f"{name} wrong", fails(400, "Unknown parameter 'x'", "invalid_request_error")),
        always(f"{name} credit", credit),
        always(f"{name} slow", says(LONG * 20), latency=50),
    ]
