"""A policy of your own: the model forgets small talk, the transcript keeps it."""

import asyncio
from dataclasses import replace

from turnline_workers import Assistant, InteractionState, Session, policies

SMALL_TALK = {"thanks!", "great.", "ok"}


def forget_small_talk(state: InteractionState) -> InteractionState:
    """Hide turns that say nothing: whole turns, so that no answer loses its question."""
    idle = {
        message.turn
        for message in state.messages
        if message.role == "user" and message.text.lower() in SMALL_TALK
    }
    return replace(state, messages=tuple(each for each in state.messages if each.turn not in idle))


assistant = Assistant(
    "builtin",
    name="policy",
    policies=[policies.Policies(truncate=forget_small_talk), policies.keep_last_turns(20)],
)


async def main() -> None:
    """Say three things, and print what the model would be shown next."""
    session = Session("demo", assistant=assistant)
    for text in ("My order is late.", "Thanks!", "When will it come?"):
        await session.send(text)
    for message in session.state.messages:
        print(f"{message.index:>3} {message.role:>9}: {message.text}")


if __name__ == "__main__":
    asyncio.run(main())
