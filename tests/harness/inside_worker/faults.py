"""Faults that a test asks for, put into a worker before it starts.

``TURNLINE_ASSISTANTS=faults:bystander`` loads this module, ``FAULTS`` names the faults, separated
by commas, and ``FAULTS_DIR`` is where workers of one test leave notes for each other.  A fault
strikes the sessions whose id begins with its name, and once in all workers together.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from turnline_producer.bells import Bells
from turnline_workers.bus.inbox import Inbox
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.models.builtin import BuiltinModel
from turnline_workers.runner import runner
from turnline_workers.runner.outbox import Outbox

NOTES = Path(os.environ.get("FAULTS_DIR", "."))

bystander = Assistant(BuiltinModel(), name="bystander")


def die_once(fault: str, session: str) -> None:
    """End the process, unless the session is not meant or somebody died of this before."""
    if not session.startswith(fault):
        return
    try:
        (NOTES / f"{session}.died").touch(exist_ok=False)
    except FileExistsError:
        return
    os._exit(9)


def before_trim() -> None:
    """Die with the intake committed and the inbox not trimmed."""
    take = Inbox.take

    async def dying(self: Inbox, session: str, *args: Any, **kwargs: Any) -> int:
        die_once("before_trim", session)
        return await take(self, session, *args, **kwargs)

    Inbox.take = dying  # type: ignore[method-assign]


def after_claim() -> None:
    """Die with the claim of the first, or of the second, attempt committed and nothing played."""
    play = runner.Runner._play

    async def dying(self: Any, claim: Any) -> None:
        die_once(f"after_claim_{claim.turn.attempt}", claim.session)
        await play(self, claim)

    runner.Runner._play = dying  # type: ignore[method-assign]


def around_commit() -> None:
    """Die with everything published and nothing committed, or with the end not published."""
    commit = runner.commit

    async def dying(engine: Any, claim: Any, settlement: Any, **options: Any) -> Any:
        die_once("before_commit", claim.session)
        waiting = await commit(engine, claim, settlement, **options)
        die_once("after_commit", claim.session)
        return waiting

    runner.commit = dying


def after_publish() -> None:
    """Die with the end published, and Postgres not knowing that it is."""
    published = Outbox.published

    def dying(self: Outbox, event: Any) -> None:
        die_once("after_publish", event.session)
        published(self, event)

    Outbox.published = dying  # type: ignore[method-assign]


def meet_at_inbox() -> None:
    """Read an inbox, and go on only when another worker has read the same."""
    read = Inbox.read

    async def meeting(self: Inbox, session: str) -> Any:
        page = await read(self, session)
        if session.startswith("meet_at_inbox") and page.arrivals:
            (NOTES / f"{session}.{os.getpid()}").touch()
            while len(list(NOTES.glob(f"{session}.*"))) < 2:
                await asyncio.sleep(0.001)
        return page

    Inbox.read = meeting  # type: ignore[method-assign]


def ring_often() -> None:
    """Ring every bell five times."""
    ring = Bells.ring

    def ringing(self: Bells, *args: Any, **kwargs: Any) -> None:
        for each in [partial(ring, self, *args, **kwargs)] * 5:
            each()

    Bells.ring = ringing  # type: ignore[method-assign]


KNOWN: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (before_trim, after_claim, around_commit, after_publish, meet_at_inbox, ring_often)
}

for name in filter(None, os.environ.get("FAULTS", "").split(",")):
    KNOWN[name]()
