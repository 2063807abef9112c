"""States in Redis: one key per session."""

import secrets
from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio as aioredis

from turnline_schemas.names import state_key
from turnline_workers.bus.scripts import SAVE_STATE
from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.redis_access import UsesRedis
from turnline_workers.inprocess.stores import from_json, to_json
from turnline_workers.interaction.state import InteractionState


class RedisStore(UsesRedis):
    """Keeps states in Redis.  Safe to share between tasks, and between event loops if given a URL.

    A Redis that may evict keys when its memory is full forgets sessions.
    """

    def __init__(
        self, client_or_url: "str | redis.Redis | aioredis.Redis", *, ttl: int | None = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            client_or_url: a client stays yours to close; one of asyncio serves one event loop.
            ttl: seconds after its last save that a session is forgotten; never unless given.

        Raises:
            ConfigurationError: the URL cannot be read, or the client decodes what it reads.
        """
        super().__init__(client_or_url)
        self._ttl = "" if ttl is None else str(ttl)
        self._save = self._access.client.register_script(SAVE_STATE)

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:  # noqa: ARG002
        """Return what was saved last; None if nothing was.

        Raises:
            RedisUnavailableError: try later.
        """
        client = self._access.client
        found = await self._access.call(client.hmget, state_key(session), "revision", "state")
        revision, text = found
        return None if text is None else from_json(text, revision=int(revision))

    async def save(
        self,
        session: str,
        state: InteractionState,
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Keep ``state`` in place of the revision that it was made from.

        Raises:
            StaleStateError: another revision is stored.
            InvalidInputError: the state holds what JSON cannot.
            RedisUnavailableError: it is unknown whether it was saved; load to see.
        """
        args = [state.revision, to_json(state), secrets.token_hex(8), self._ttl]
        saved = await self._access.call(self._save, keys=[state_key(session)], args=args)
        if not saved:
            raise StaleStateError(session, state.revision)

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Forget the session; nothing happens if it is not known.

        Raises:
            RedisUnavailableError: try later.
        """
        await self._access.call(self._access.client.delete, state_key(session))
