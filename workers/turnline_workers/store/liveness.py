"""Who is alive, by the database's clock.  One row per worker, whatever it plays."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Engine, Interval, bindparam, delete, literal, select
from sqlalchemy.dialects.postgresql import insert

from turnline_workers.store.engine import translated
from turnline_workers.store.schema import sessions, workers
from turnline_workers.store.statements.parts import NOW

_BURY = delete(workers).where(
    workers.c.beat_at < NOW - bindparam("age", type_=Interval()),
    ~select(literal(1)).where(sessions.c.owner == workers.c.worker).exists(),
)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """One life of one worker process.  A restarted worker is another one."""

    worker: str
    hostname: str
    pid: int
    slots: int


def beat(engine: Engine, identity: WorkerIdentity) -> None:
    """Say that the worker is alive.

    Raises:
        PostgresUnavailableError: it could not be said.
    """
    statement = insert(workers).values(
        worker=identity.worker,
        hostname=identity.hostname,
        pid=identity.pid,
        slots=identity.slots,
        beat_at=NOW,
    )
    statement = statement.on_conflict_do_update(index_elements=["worker"], set_={"beat_at": NOW})
    with translated(str(engine.url)), engine.begin() as connection:
        connection.execute(statement)


def say_goodbye(engine: Engine, worker: str) -> None:
    """Say that the worker is gone, so that nobody waits for its lease to end."""
    with translated(str(engine.url)), engine.begin() as connection:
        connection.execute(delete(workers).where(workers.c.worker == worker))


def bury(engine: Engine, age: timedelta) -> None:
    """Forget workers that have been silent for ``age`` and own nothing."""
    with translated(str(engine.url)), engine.begin() as connection:
        connection.execute(_BURY, {"age": age})


def alive_on(connection: Connection, hostname: str, lease: timedelta) -> list[str]:
    """Return the workers of a host whose heartbeat is younger than ``lease``."""
    query = select(workers.c.worker).where(
        workers.c.hostname == hostname, workers.c.beat_at > NOW - lease
    )
    return list(connection.scalars(query.order_by(workers.c.worker)))
