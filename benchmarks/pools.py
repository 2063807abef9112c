"""What one worker process does with many turns at once, per Celery pool.

Every run has servers, a database and a worker of its own, and fails unless every turn was
played exactly once and every reader would have got the whole text.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
import redis

from turnline_producer import Producer
from turnline_producer.bells import Bells
from turnline_schemas.names import log_key
from turnline_workers.embedded.servers import EmbeddedServers
from turnline_workers.embedded.waiting import wait_until
from turnline_workers.store.migrations import upgrade

MB = 2**20
GRACE = 1.0
"""Seconds that turns get when the worker is asked to stop."""

POOLS: dict[str, Callable[[int], list[str]]] = {
    "turn": lambda _turns: [],
    "threads": lambda turns: ["-P", "threads", "-c", str(turns)],
}
"""Pool -> arguments of ``celery worker`` for so many turns."""

BEATING = "SELECT count(*) FROM turnline.workers"
OWNED = "SELECT count(*) FROM turnline.sessions WHERE owner IS NOT NULL"
STARTED = "SELECT count(*) FROM turnline.turns WHERE session = 'last' AND attempts > 0"
STATUS = "SELECT status, count(*) FROM turnline.turns GROUP BY status"


@dataclass(frozen=True)
class Row:
    """One run, or the medians of several."""

    pool: str
    turns: int
    live: int
    """Most turns that were between their first and last event at one moment."""
    idle_mb: float
    """USS of the worker before the first turn."""
    uss_mb: float
    rss_mb: float
    kb_per_turn: float
    """USS that came with the turns, per turn."""
    cpu_s: float
    wall_s: float
    """From the first enqueue until the last turn's outcome."""
    start_p50_ms: float
    start_p95_ms: float
    """From enqueue to ``turn.started``."""
    bells_per_s: float
    """Bells for sessions that have nothing to do."""
    drain_s: float
    """From SIGTERM to the end of the process, with every turn in flight and grace 1 s."""


HEADINGS = {
    "pool": "pool",
    "turns": "turns",
    "live": "live at once",
    "idle_mb": "USS idle MB",
    "uss_mb": "USS peak MB",
    "rss_mb": "RSS peak MB",
    "kb_per_turn": "KB/turn",
    "cpu_s": "CPU s",
    "wall_s": "wall s",
    "start_p50_ms": "start p50 ms",
    "start_p95_ms": "start p95 ms",
    "bells_per_s": "bells/s",
    "drain_s": "drain s",
}


class Site:
    """A fresh database and an empty Redis."""

    def __init__(self, servers: EmbeddedServers, name: str) -> None:
        with closing(psycopg.connect(servers.database_url, autocommit=True)) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        self.database_url = urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
        self.redis_url = servers.redis_url
        upgrade(self.database_url)
        self.redis = redis.Redis.from_url(self.redis_url)
        self.redis.flushall()
        self.postgres = psycopg.connect(self.database_url, autocommit=True)

    def number(self, query: str) -> int:
        """Return the one number that ``query`` asks for."""
        row = self.postgres.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def statuses(self) -> dict[str, int]:
        """Status -> how many turns have it."""
        return dict(self.postgres.execute(STATUS).fetchall())

    def log(self, session: str) -> list[dict[str, Any]]:
        """Return the events of a session."""
        entries: Any = self.redis.xrange(log_key(session))
        return [json.loads(each[b"d"]) for _, each in entries]

    def close(self) -> None:
        """Close the connections."""
        self.postgres.close()
        self.redis.close()


@contextmanager
def worker(site: Site, pool: str, turns: int, log: Path) -> Iterator[psutil.Process]:
    """Run one worker process until the block ends."""
    environment = {
        **os.environ,
        "TURNLINE_DATABASE_URL": site.database_url,
        "TURNLINE_REDIS_URL": site.redis_url,
        "TURNLINE_SLOTS": str(turns),
        "TURNLINE_GRACE": str(GRACE),
        "TURNLINE_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "celery", "-A", "turnline_workers.app", "worker"]
    command += ["--without-gossip", "--without-mingle", *POOLS[pool](turns)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        until(lambda: site.number(BEATING) == 1, 60, "the worker beats")
        # The consumer comes after the beat: a turn that is played is the proof.
        play(site, {"warm-up": 0.0}, pause=0, deltas=1)
        until(lambda: site.statuses() == {"completed": 1}, 60, "the worker plays")
        yield psutil.Process(process.pid)
    except BaseException:
        print(log.read_text("utf-8", "replace")[:6000], file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()


def play(site: Site, sessions: dict[str, float], *, pause: float, deltas: int) -> None:
    """Enqueue one turn per session, and note when."""
    context = {"builtin": {"delay": pause, "deltas": deltas}}
    with Producer(site.redis_url) as producer:
        for session in sessions:
            sessions[session] = time.time()
            producer.enqueue(session, "Hello!", context=context)


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for ``condition``, or end the benchmark."""
    if not wait_until(condition, seconds=seconds):
        raise SystemExit(f"not within {seconds:g} s: {what}")


@dataclass(frozen=True)
class Streamed:
    """What streaming turns took."""

    idle: int
    uss: int
    rss: int
    cpu: float
    wall: float
    live: int
    waits: list[float]
    """Seconds from enqueue to ``turn.started``."""


def stream(
    site: Site, process: psutil.Process, options: argparse.Namespace, turns: int
) -> Streamed:
    """Play ``turns`` at once and watch the worker's memory meanwhile."""
    idle = process.memory_full_info().uss
    sessions = {f"session-{number}": 0.0 for number in range(turns)}
    deltas = round(options.seconds / options.pause)
    before = sum(process.cpu_times()[:2])
    peak = {"uss": 0, "rss": 0}

    def done() -> bool:
        memory = process.memory_full_info()
        peak["uss"] = max(peak["uss"], memory.uss)
        peak["rss"] = max(peak["rss"], memory.rss)
        time.sleep(0.4)  # reading the memory costs, too
        return site.statuses().get("completed", 0) == turns + 1

    play(site, sessions, pause=options.pause, deltas=deltas)
    until(done, 20 * options.seconds + 120, f"all turns completed: {site.statuses()}")
    cpu = sum(process.cpu_times()[:2]) - before
    spans = [span(site, session, deltas) for session in sessions]
    ended = max(end for _, end in spans)
    waits = [begin - sent for (begin, _), sent in zip(spans, sessions.values(), strict=True)]
    wall = ended - min(sessions.values())
    return Streamed(idle, peak["uss"], peak["rss"], cpu, wall, most_at_once(spans), waits)


def span(site: Site, session: str, deltas: int) -> tuple[float, float]:
    """Return when the session's turn began and ended, having read every word of it once."""
    until(lambda: site.log(session)[-1]["type"] == "turn.completed", 30, "the log is complete")
    log = site.log(session)
    types = [event["type"] for event in log]
    text = "".join(event["data"]["delta"] for event in log if event["type"] == "text.delta")
    assert types.count("turn.started") == types.count("turn.completed") == 1, types
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1)), session
    assert text == " ".join(f"word-{number}" for number in range(1, deltas + 1)), session
    begin = log[types.index("turn.started")]["ts"]
    return begin / 1000, log[-1]["ts"] / 1000


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Return how many spans overlap at most."""
    steps = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def ring(site: Site, process: psutil.Process, number: int) -> float:
    """Return bells per second: so many for nothing, and then one for a turn that tells the end."""
    process.send_signal(SIGSTOP)
    try:
        bells = Bells(site.redis_url)
        for each in range(number):
            bells.ring(f"empty-{each}", "none")
        play(site, {"last": 0.0}, pause=0, deltas=1)
    finally:
        began = time.monotonic()
        process.send_signal(SIGCONT)
    until(lambda: site.number(STARTED) == 1, 120, "the last bell is answered")
    took = time.monotonic() - began
    until(lambda: set(site.statuses()) == {"completed"}, 30, "its turn is completed")
    return number / took


def drain(site: Site, process: psutil.Process, turns: int) -> float:
    """Return seconds from SIGTERM to the end, with ``turns`` in flight that last for minutes."""
    ended = site.statuses().get("completed", 0)
    sessions = {f"long-{number}": 0.0 for number in range(turns)}
    play(site, sessions, pause=10, deltas=100)
    until(lambda: site.number(OWNED) == turns, 120, "all long turns are claimed")
    began = time.monotonic()
    process.send_signal(SIGTERM)
    process.wait(60)
    took = time.monotonic() - began
    statuses = site.statuses()
    assert site.number(OWNED) == 0, "a session still has an owner"
    assert statuses.pop("completed") == ended, statuses
    assert sum(statuses.values()) == turns, statuses
    return took


def run(servers: EmbeddedServers, pool: str, turns: int, options: argparse.Namespace) -> Row:
    """Measure one pool once."""
    site = Site(servers, f"{pool}_{turns}_{time.time_ns()}")
    log = servers.home.log(f"worker-{pool}-{turns}")
    with closing(site), worker(site, pool, turns, log) as process:
        streamed = stream(site, process, options, turns)
        bells = ring(site, process, options.bells)
        drained = drain(site, process, turns)
    waits = statistics.quantiles(streamed.waits, n=20)
    return Row(
        pool=pool,
        turns=turns,
        live=streamed.live,
        idle_mb=streamed.idle / MB,
        uss_mb=streamed.uss / MB,
        rss_mb=streamed.rss / MB,
        kb_per_turn=(streamed.uss - streamed.idle) / turns / 1024,
        cpu_s=streamed.cpu,
        wall_s=streamed.wall,
        start_p50_ms=1000 * waits[9],
        start_p95_ms=1000 * waits[18],
        bells_per_s=bells,
        drain_s=drained,
    )


def medians(rows: Sequence[Row]) -> Row:
    """Return the median of each column."""
    columns = {
        field.name: statistics.median(getattr(row, field.name) for row in rows)
        for field in fields(Row)
        if field.name != "pool"
    }
    return Row(pool=rows[0].pool, **columns)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| " + " | ".join(HEADINGS.values()) + " |", "|" + " ---: |" * len(HEADINGS)]
    for row in rows:
        cells = [shown(getattr(row, name)) for name in HEADINGS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: object) -> str:
    """Return ``value`` with three digits that matter."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--pools", nargs="+", choices=POOLS, default=list(POOLS), help="pools to compare")
    add("--turns", nargs="+", type=int, default=[100, 300], help="turns at once (100 300)")
    add("--seconds", type=float, default=5.0, help="length of a turn (5)")
    add("--pause", type=float, default=0.05, help="seconds between two deltas (0.05)")
    add("--bells", type=int, default=3000, help="empty bells to answer (3000)")
    add("--repeat", type=int, default=3, help="runs per row; medians are shown (3)")
    add("--json", action="store_true", help="one line of JSON per run instead of the table")
    return parser.parse_args()


def main() -> None:
    """Run everything and print it."""
    options = arguments()
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="turnline-pools-") as directory,
        EmbeddedServers(Path(directory) / "data") as servers,
    ):
        for turns in options.turns:
            for pool in options.pools:
                runs = []
                for _ in range(options.repeat):
                    runs.append(run(servers, pool, turns, options))
                    print(json.dumps(asdict(runs[-1])), flush=True, file=_progress(options))
                rows.append(medians(runs))
    if not options.json:
        print(table(rows))


def _progress(options: argparse.Namespace) -> Any:
    return sys.stdout if options.json else sys.stderr


if __name__ == "__main__":
    main()
