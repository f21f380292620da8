"""How long a stream waits for a client that takes nothing of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Send


class ClientStalledError(Exception):
    """A client that does not read what it asked for."""


class Patience:
    """Sends pieces of one body, all under a single timer: one for each takes a fifth of its time."""

    def __init__(self, send: Send, limit_s: float) -> None:
        self.send, self.limit_s = send, limit_s
        self.loop = asyncio.get_running_loop()
        self.since: float | None = None

    @classmethod
    @asynccontextmanager
    async def with_client(cls, send: Send, limit_s: float) -> AsyncIterator["Patience"]:
        """Raises ClientStalledError from wherever a piece has waited for so long."""
        patience = cls(send, limit_s)
        try:
            async with asyncio.timeout(None) as limit:
                patience._look_later(patience.loop.time(), limit)
                try:
                    yield patience
                finally:
                    patience.timer.cancel()
        except TimeoutError:
            raise ClientStalledError from None

    async def push(self, body: bytes, *, last: bool = False) -> None:
        """Send a piece of the body."""
        self.since = self.loop.time()
        await self.send({"type": "http.response.body", "body": body, "more_body": not last})
        self.since = None

    def _look_later(self, since: float, limit: asyncio.Timeout) -> None:
        self.timer = self.loop.call_at(since + self.limit_s, self._look, limit)

    def _look(self, limit: asyncio.Timeout) -> None:
        now = self.loop.time()
        since = now if self.since is None else self.since
        if now - since >= self.limit_s:
            limit.reschedule(now)
        else:
            self._look_later(since, limit)
