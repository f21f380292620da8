"""Connections on which nothing arrives: uvicorn alone would hold one open for ever whose request head never ends."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """Closes a connection whose request head does not come whole within `head_timeout_s`."""

    head_timeout_s = 10.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client is there: its first request is awaited."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Part of a head ends uvicorn's own patience with an idle connection; then ours begins."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if is_between and self.head_timer is None and self.timeout_keep_alive_task is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _give_up(self) -> None:
        self.head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def connection_class(head_timeout_s: float) -> type[Connection]:
    """The class with a limit; uvicorn makes the objects."""
    return type("Connection", (Connection,), {"head_timeout_s": head_timeout_s})
