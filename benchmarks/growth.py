"""What one turn costs in a session of 10, 1,000 and 5,000 messages, with and without a window.

Every turn is played by a real worker, on servers of the benchmark's own, in sessions that are
filled beforehand; every round has new ones, and takes all cases in turn.  It fails unless every
turn completed and ``turnline verify`` finds nothing.

  statements     that the worker sent to Postgres for one turn, with begin and commit
  rows           of sessions, turns and messages that one turn read and wrote
  WAL            all that Postgres wrote into its log between two positions: from before the turn
                 until its outbox is cleared.  "first" is the first turn after a checkpoint,
                 which holds a copy of each page it touches; "warm" one that follows others
  time           from enqueue to turn.completed at a subscriber, of warm turns

Examples:
  python benchmarks/growth.py
  python benchmarks/growth.py --messages 10 5000 --rounds 9
  python benchmarks/growth.py --json
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from long_sessions import SAID, crowd, fill, settle_down
from pools import Site, worker
from table_rows import IDLE, Rows, count, touched

from turnline_producer import Producer
from turnline_producer.bells import Bells
from turnline_schemas.names import events_channel
from turnline_workers import Assistant, policies
from turnline_workers.embedded.servers import EmbeddedServers

WINDOW = 10
"""Turns in the view of ``windowed``."""

windowed = Assistant("builtin", name="windowed", policies=policies.keep_last_turns(WINDOW))
endless = Assistant("builtin", name="endless")

WINDOWS = {"windowed": WINDOW, "endless": None}
POLICIES = {"windowed": f"keep_last_turns({WINDOW})", "endless": "none"}

WORKER = {
    "PYTHONPATH": str(Path(__file__).parent),
    "TURNLINE_ASSISTANTS": "growth:windowed,growth:endless",
    # No sweep and no heartbeat while we count.
    "TURNLINE_SWEEP": "3600",
    "TURNLINE_LEASE": "36000",
}
WARM_TURNS = 3
"""Per session, after as many that come before and only count for the time."""
OUTBOX = 0.7
"""Seconds without new WAL after which a turn is over: the outbox is cleared every 0.25 s."""
CONTEXT: dict[str, Any] = {"builtin": {"text": SAID}}
"""As long as what fills the sessions: shorter messages go into holes that are left in old pages,
each of which Postgres copies into its log once after a checkpoint."""
STATEMENT = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)
PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'turnline'"


@dataclass
class Case:
    """One length of session with one assistant, and what was measured of it."""

    assistant: str
    messages: int
    statements: int = 0
    rows: dict[str, Rows] = field(default_factory=dict)
    first_wal: list[int] = field(default_factory=list)
    warm_wal: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def session(self, part: object) -> str:
        """Name of a session of this case."""
        return f"{self.assistant}-{self.messages}-{part}"


class Bench:
    """A site with a worker, and the turns that are played in it."""

    def __init__(self, site: Site, postgres_log: Path) -> None:
        self.site = site
        self._log = postgres_log
        self._producer = Producer(site.redis_url)
        self._bells = Bells(site.redis_url)
        self.turns = 0

    def play(self, session: str, assistant: str) -> float:
        """Play one turn; return the seconds until a subscriber heard of its end."""
        with closing(self.site.redis.pubsub(ignore_subscribe_messages=True)) as channel:
            channel.subscribe(events_channel(session))
            channel.get_message(timeout=1)
            began = time.monotonic()
            receipt = self._producer.enqueue(session, SAID, assistant=assistant, context=CONTEXT)
            while time.monotonic() < began + 60:
                frame = channel.get_message(timeout=1)
                if frame is not None and _completed(frame["data"], receipt.turn):
                    self.turns += 1
                    return time.monotonic() - began
        raise SystemExit(f"turn {receipt.turn} of session {session} did not complete")

    def wal(self, session: str, assistant: str) -> tuple[int, float]:
        """Play one turn; return the WAL it caused, in bytes, and its seconds."""
        before = self._position()
        took = self.play(session, assistant)
        after, since = self._position(), time.monotonic()
        while time.monotonic() < since + OUTBOX:
            time.sleep(0.05)
            if (now := self._position()) != after:
                after, since = now, time.monotonic()
        return after - before, took

    def count(self, case: Case) -> None:
        """Play one turn for its statements and rows."""
        before = count(self.site.postgres, self._nudge)
        size = self._log.stat().st_size
        self.wal(case.session("rows"), case.assistant)
        pids = {str(row[0]) for row in self.site.postgres.execute(PIDS).fetchall()}
        with self._log.open("rb") as file:
            file.seek(size)
            said = STATEMENT.findall(file.read().decode("utf-8", "replace"))
        case.statements = sum(pid in pids for pid in said)
        case.rows = touched(before, count(self.site.postgres, self._nudge))

    def measure(self, case: Case, number: int) -> None:
        """Play the turns of one round."""
        session = case.session(number)
        self.site.postgres.execute("CHECKPOINT")
        case.first_wal.append(self.wal(session, case.assistant)[0])
        warm = [self.wal(session, case.assistant) for _ in range(2 * WARM_TURNS)]
        # The first ones still meet pages that are copied; later ones hardly do.
        case.warm_wal += [wal for wal, _ in warm[WARM_TURNS:]]
        case.seconds += [seconds for _, seconds in warm]

    def log_statements(self, setting: str) -> None:
        """Let Postgres log what it is told, or not."""
        self.site.postgres.execute(f"ALTER SYSTEM SET log_statement = '{setting}'")
        self.site.postgres.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)

    def close(self) -> None:
        """Close the connections."""
        self._producer.close()
        self._bells.close()

    def _position(self) -> int:
        return self.site.number("SELECT pg_current_wal_insert_lsn() - '0/0'")

    def _nudge(self) -> None:
        self._bells.ring("nobody", "none")


def _completed(data: bytes, turn: str) -> bool:
    events = json.loads(data)["events"]
    return any(each["turn"] == turn and each["type"] == "turn.completed" for each in events)


def run(servers: EmbeddedServers, options: argparse.Namespace) -> list[Case]:
    """Measure all cases."""
    cases = [Case(name, messages) for name in WINDOWS for messages in options.messages]
    site = Site(servers, "growth")
    postgres_log, worker_log = servers.home.log("postgres"), servers.home.log("worker")
    with (
        closing(site),
        worker(site, "turn", 10, worker_log),
        closing(Bench(site, postgres_log)) as bench,
    ):
        prepare(site, cases, options.rounds)
        completed = site.statuses()["completed"]
        for number in range(30):  # until statements are prepared on every connection
            bench.play("warm-up", list(WINDOWS)[number % 2])
        for number in range(options.rounds):
            for place in range(len(cases)):
                bench.measure(cases[(place + number) % len(cases)], number)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        time.sleep(IDLE)
        bench.log_statements("all")
        for case in cases:
            bench.count(case)
        bench.log_statements("none")
        check(site, completed + bench.turns)
    return cases


def prepare(site: Site, cases: Sequence[Case], rounds: int) -> None:
    """Fill a session per case and round, and others that nobody looks at."""
    for case in cases:
        for part in ("rows", *range(rounds)):
            session, window = case.session(part), WINDOWS[case.assistant]
            fill(site.postgres, session, case.messages, window=window)
    crowd(site.postgres)
    settle_down(site.postgres)


def check(site: Site, completed: int) -> None:
    """Fail unless so many turns completed, and every promise holds."""
    assert site.statuses() == {"completed": completed}, site.statuses()
    urls = {"TURNLINE_DATABASE_URL": site.database_url, "TURNLINE_REDIS_URL": site.redis_url}
    verify = [sys.executable, "-c", "from turnline_workers.cli import main; main()", "verify"]
    environment = {**os.environ, **urls}
    done = subprocess.run([*verify, "--all"], env=environment, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise SystemExit("turnline verify found broken promises")


def medians(case: Case, shortest: Case) -> dict[str, object]:
    """Return what a case comes to, under the table's headings.

    Args:
        shortest: the case with the same policy that its time is compared with.
    """
    seconds = statistics.median(case.seconds)
    return {
        "policy": POLICIES[case.assistant],
        "messages": case.messages,
        "statements": case.statements,
        "rows read": sum(rows.read for rows in case.rows.values()),
        "rows written": sum(sum(rows[1:]) for rows in case.rows.values()),
        "WAL bytes, warm": round(statistics.median(case.warm_wal)),
        "WAL bytes, first after a checkpoint": round(statistics.median(case.first_wal)),
        "ms": 1000 * seconds,
        "time, ratio": seconds / statistics.median(shortest.seconds),
    }


def table(cases: Sequence[Case]) -> str:
    """Return the medians as a Markdown table."""
    shortest = {case.assistant: case for case in reversed(cases)}
    rows = [medians(case, shortest[case.assistant]) for case in cases]
    lines = [list(rows[0]), ["---", *["---:"] * (len(rows[0]) - 1)]]
    lines += [[shown(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: object) -> str:
    """Return ``value`` as a cell."""
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine(servers: EmbeddedServers) -> str:
    """Name what the figures were measured on."""
    cpu = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else []
    server = (servers.postgres.directory / "PG_VERSION").read_text().strip()
    name = models[0] if models else platform.processor()
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {name}; Python {python}; Postgres {server}"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--messages", nargs="+", type=int, default=[10, 1000, 5000], help="(10 1000 5000)")
    add("--rounds", type=int, default=5, help="rounds; medians are shown (5)")
    add("--json", action="store_true", help="one line of JSON per case, with every measurement")
    return parser.parse_args()


def main() -> None:
    """Run everything and print it."""
    options = arguments()
    os.environ.update(WORKER)
    with (
        tempfile.TemporaryDirectory(prefix="turnline-growth-") as directory,
        EmbeddedServers(Path(directory) / "data") as servers,
    ):
        cases = run(servers, options)
        named = machine(servers)
    if options.json:
        for case in cases:
            rows = {name: each._asdict() for name, each in case.rows.items()}
            print(json.dumps(asdict(case) | {"rows": rows, "machine": named}))
    else:
        print(f"{named}\n\n{table(cases)}")


if __name__ == "__main__":
    main()
