"""A step that searches before the model is asked: readers see the query and what was found."""

import asyncio
from collections.abc import AsyncIterator

from turnline_schemas.event_data import Data, EventData, SourceAdded
from turnline_workers import Assistant, Pack, Session, Step, TurnState

PAGES = {"refunds": "Refunds take five days.", "delivery": "We deliver on weekdays."}


async def search(turn: TurnState) -> AsyncIterator[EventData]:
    """Find the pages that the message is about; the model is shown their text."""
    yield Data(name="query", value=turn.input.text, transient=True)
    found = [title for title in PAGES if title in turn.input.text.lower()]
    for number, title in enumerate(found):
        yield SourceAdded(source=turn.part(number), title=title, text=PAGES[title])


# Priority lets it run before the model, which waits for the input only.
step = Step("search", search, depends_on=("core.capture-input",), priority=1)
assistant = Assistant("builtin", name="retrieval", packs=[Pack("library", (step,))])
SCRIPT = {"text": "Five days."}


async def main() -> None:
    """Print the plan, ask, and print what the model was shown."""
    print(assistant.explain())
    session = Session("demo", assistant=assistant)
    outcome = await session.send("How long do refunds take?", context={"builtin": SCRIPT})
    for message in outcome.messages:
        print(f"{message.role:>9}: {message.text}")


if __name__ == "__main__":
    asyncio.run(main())
