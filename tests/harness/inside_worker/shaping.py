"""An assistant with every kind of ready-made policy."""

from turnline_workers import Assistant, Tool, policies


def look(what: str) -> dict[str, str]:
    """Look something up."""
    return {"seen": what}


shaped = Assistant(
    name="shaped",
    model="builtin",
    tools=[Tool(look, effects="pure")],
    policies=[
        policies.drop_tool_payloads(older_than=1),
        policies.summarize_when(tokens=1, keep_turns=2),
    ],
)
