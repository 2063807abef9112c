"""Says that this worker is alive, from a thread of its own: a busy loop never loses its leases."""

import threading

import structlog
from sqlalchemy import Engine

from turnline_schemas.errors import PostgresUnavailableError
from turnline_workers.store.liveness import WorkerIdentity, beat, say_goodbye

BEATS_PER_LEASE = 4

logger = structlog.get_logger(__name__)


class Heartbeat:
    """One row per worker, written a few times per lease, whatever the worker plays."""

    def __init__(self, engine: Engine, identity: WorkerIdentity, *, lease: float) -> None:
        self._engine = engine
        self._identity = identity
        self._every = lease / BEATS_PER_LEASE
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="turnline-heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, then go on in the thread.

        Raises:
            PostgresUnavailableError: the first beat failed.
        """
        beat(self._engine, self._identity)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and free this worker's leases at once."""
        self._stopping.set()
        self._thread.join(5)
        try:
            say_goodbye(self._engine, self._identity.worker)
        except PostgresUnavailableError as error:
            logger.warning("heartbeat.no_goodbye", error=str(error))

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                beat(self._engine, self._identity)
            except Exception as error:  # noqa: BLE001 - a thread that ends would end every lease
                logger.warning("heartbeat.missed", error=str(error))
