"""Logs: one line per fact, text for people or JSON for machines.  Never what people said."""

import logging
import sys
from typing import Any

import structlog

from turnline_workers.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Send Turnline's and Celery's logs to standard error in one shape."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Never the locals of a frame: they hold what people said.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.upper()),
        cache_logger_on_first_use=True,
    )
    chain = [structlog.processors.format_exc_info] if settings.log_json else []
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *chain,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # One line per bell received and done says nothing that ours do not.
    for name in ("celery.worker.strategy", "celery.app.trace", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_without_body)


def _without_body(record: logging.LogRecord) -> bool:
    """Cut off the body and the headers that Celery shows of a message it cannot use."""
    text = str(record.msg).strip()
    if "body" in text and isinstance(record.args, tuple):
        record.msg = text.splitlines()[0].split("[")[0]
        record.args = record.args[: record.msg.count("%")]
    return True
