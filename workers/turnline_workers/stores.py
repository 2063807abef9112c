"""Where sessions that are played in process keep their state: ready-made stores, and the contract.

Only ``PostgresStore`` needs more than the light install.
"""

from typing import TYPE_CHECKING, Any

from turnline_schemas.errors import ConfigurationError
from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.redis_store import RedisStore
from turnline_workers.inprocess.stores import MemoryStore, SessionStore, from_json, to_json

if TYPE_CHECKING:
    from turnline_workers.inprocess.postgres_store import PostgresStore as PostgresStore

# Without PostgresStore: ``import *`` asks for all of these.
__all__ = [
    "MemoryStore",
    "RedisStore",
    "SessionStore",
    "StaleStateError",
    "from_json",
    "to_json",
]


def __getattr__(name: str) -> Any:
    """Import ``PostgresStore`` when it is asked for.

    Raises:
        ConfigurationError: what it needs is not installed; the text says what to install.
    """
    if name != "PostgresStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from turnline_workers.inprocess import postgres_store
    except ImportError as error:
        raise ConfigurationError(
            f"PostgresStore needs more than the light install ({error}):"
            " pip install 'turnline[workers]'"
        ) from error
    return postgres_store.PostgresStore
