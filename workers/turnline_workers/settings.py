"""Settings of a worker, from ``TURNLINE_*`` environment variables.  Nobody else reads them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from turnline_producer.urls import check_broker_url, check_redis_url
from turnline_schemas.errors import ConfigurationError
from turnline_schemas.message import MAX_MESSAGE_BYTES, describe

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """What a worker needs to know.  Every field is ``TURNLINE_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="TURNLINE_", frozen=True, extra="ignore")

    database_url: str = "postgresql://postgres@127.0.0.1:5432/postgres"
    """Postgres, as a libpq URL."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis with inboxes and event logs."""
    broker_url: str = ""
    """Celery broker that carries bells; the same Redis unless set."""

    assistants: str = ""
    """Assistants to serve: ``module:attribute``, several separated by commas."""
    slots: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Turns that one worker process plays at the same time."""
    headroom: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Bells that may do intake while every slot is taken."""

    lease: Seconds = 6.0
    """A worker silent for so many seconds is dead, by the database's clock."""
    sweep: Seconds = 1.0
    """Seconds between two sweeps for lost bells and dead workers."""
    grace: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Seconds that running turns get to end when the worker is asked to stop."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Tries at a turn that takes its worker down, before it is dead."""

    max_message_bytes: Annotated[int, Field(ge=1024)] = MAX_MESSAGE_BYTES
    """Longest message accepted, in bytes."""
    log_length: Annotated[int, Field(ge=10)] = 10_000
    """Events kept in a session's hot log, about."""
    log_ttl: Annotated[int, Field(ge=1)] = 3600
    """Seconds a hot log lives after its last event."""
    builtin_delay: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Seconds between two deltas of the offline model."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = False
    """Logs as JSON lines instead of text."""

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, url: str) -> str:
        return _or_value_error(check_redis_url, url)

    @field_validator("broker_url")
    @classmethod
    def _broker_url(cls, url: str) -> str:
        return _or_value_error(check_broker_url, url) if url else url

    @property
    def broker(self) -> str:
        """The broker in use."""
        return self.broker_url or self.redis_url

    @property
    def lease_time(self) -> timedelta:
        """The lease, as Postgres takes it."""
        return timedelta(seconds=self.lease)

    @property
    def concurrency(self) -> int:
        """What Celery is told: turns being played, and bells that only do intake."""
        return self.slots + self.headroom


def _or_value_error(check: Callable[[str], str], url: str) -> str:
    """Let pydantic name the variable that is wrong."""
    try:
        return check(url)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a variable does not hold what it should; the text names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(f"settings (TURNLINE_...): {describe(error)}") from error
