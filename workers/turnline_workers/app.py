"""The Celery application: ``celery -A turnline_workers.app worker``.

Bells are hints, so on Redis they are acknowledged early and without emulation (three times the
throughput, and nothing is started twice by a reconnect); on RabbitMQ late, on a quorum queue.
"""

import warnings
from typing import Any

import structlog
from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from turnline_producer.bells import bell_queue, is_redis
from turnline_schemas.errors import ConfigurationError
from turnline_schemas.names import QUEUE
from turnline_workers.bootstrap import Worker
from turnline_workers.logs import configure_logs
from turnline_workers.odd_bells import TRANSPORT
from turnline_workers.settings import Settings, load_settings
from turnline_workers.tasks import register

POOL = "turnline_workers.pool:TurnPool"
POOLS = {"turnline_workers.pool:TurnPool", "celery.concurrency.thread:TaskPool"}

logger = structlog.get_logger(__name__)


class TurnlineApp(Celery):  # type: ignore[misc]
    """A Celery application that knows the worker of its process."""

    _worker: Worker | None = None

    def turnline_worker(self) -> Worker:
        """Return this process's worker."""
        assert self._worker is not None, "the worker is started by Celery's worker_init signal"
        return self._worker

    def start_turnline(self, settings: Settings) -> None:
        """Start the worker of this process.

        Raises:
            ConfigurationError: the set-up is wrong; the text says what to change.
        """
        self._worker = Worker(settings)
        self._worker.start()

    def stop_turnline(self) -> None:
        """Stop it, if it runs."""
        if self._worker is not None:
            self._worker.stop()


# Celery warns root because of pickle; here only JSON is accepted.
warnings.filterwarnings("ignore", category=SecurityWarning)
# Told at every loss of the broker, about a setting that is set below.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


def make_app(settings: Settings) -> TurnlineApp:
    """Return the application for ``settings``."""
    app = TurnlineApp("turnline", set_as_current=False)
    app.conf.update(_configuration(settings))
    register(app, app.turnline_worker)
    _connect(app, settings)
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    redis = is_redis(settings.broker)
    return {
        "broker_url": settings.broker,
        "broker_transport_options": _redis_options() if redis else {"confirm_publish": True},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 30,
        "task_queues": [bell_queue(settings.broker)],
        "task_default_queue": QUEUE,
        "task_default_exchange": "",
        "task_default_routing_key": QUEUE,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": not redis,
        "task_reject_on_worker_lost": not redis,
        "worker_pool": POOL,
        "worker_concurrency": settings.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": redis,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _redis_options() -> dict[str, Any]:
    return {
        "ack_emulation": False,
        "socket_connect_timeout": 5,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_connections": 64,
        "client_name": "turnline-worker",
    }


def _connect(app: TurnlineApp, settings: Settings) -> None:
    """Tie the worker's life to Celery's."""

    @signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def _logs(**_: Any) -> None:
        configure_logs(settings)

    @signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _start(**_: Any) -> None:
        configure_logs(settings)
        if is_redis(settings.broker):
            # Of workers only: Flower knows brokers by the names of kombu's own transports.
            app.conf.broker_transport = TRANSPORT
        try:
            app.start_turnline(settings)
        except ConfigurationError as error:
            logger.error("worker.refused", error=str(error))
            raise SystemExit(1) from error

    @signals.celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
    def _check_pool(instance: Any, **_: Any) -> None:
        pool = f"{instance.pool_cls.__module__}:{instance.pool_cls.__name__}"
        if pool not in POOLS:
            logger.error(
                "worker.refused",
                error=f"pool {pool} is not supported; leave out -P, or use -P threads",
            )
            app.stop_turnline()
            raise SystemExit(1)

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def _drain(**_: Any) -> None:
        app.turnline_worker().drain()

    @signals.worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def _stop(**_: Any) -> None:
        app.stop_turnline()


def _settings() -> Settings:
    try:
        return load_settings()
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error


app = make_app(_settings())
