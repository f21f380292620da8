"""The process that serves: its socket, its signals, and its end."""

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from params.errors import ParameterError, ServerError
from params.serve import ServeParams
from tasks.serving.api_keys import VARIABLE, ApiKeys
from tasks.serving.app import make_app
from tasks.serving.connection import connection_class
from tasks.serving.door import LOOPBACK
from tasks.serving.metrics import ServerMetrics
from tasks.serving.service import Service, Source

log = logging.getLogger(__name__)
_BACKLOG = 2048
_SWITCH_S = 0.0005
"""How long a Python thread may keep the others waiting: steps of a small model take less than the usual 5 ms."""
_KEEP_ALIVE_S = 65


def serve(source: Source, params: ServeParams, keys: ApiKeys, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises GristmillError when it cannot begin."""
    if params.host not in LOOPBACK and not keys and not params.open:
        raise ParameterError(
            f"host {params.host} lets other machines in, and there are no API keys; give some (--api-keys FILE or "
            f"{VARIABLE}), or --open to let anybody in"
        )
    with _listening(params) as listener:
        _raise_file_limit()
        sys.setswitchinterval(_SWITCH_S)
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(_serve(source, params, keys, listener=listener, say=say))


async def _serve(
    source: Source, params: ServeParams, keys: ApiKeys, *, listener: socket.socket, say: Callable[[str], None]
) -> None:
    service = Service(source, params, ServerMetrics())
    await service.start()
    config = uvicorn.Config(
        make_app(service, keys),
        http=connection_class(params.body_timeout_s),
        log_config=None,
        access_log=False,
        lifespan="off",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(params.shutdown_s)),
        server_header=False,
    )
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    listener.listen(_BACKLOG)  # whoever reads the line may ask at once
    say(f"Serving {service.described} at http://{host}:{address[1]}")
    try:
        await _Server(config, service).serve(sockets=[listener])
    finally:
        await service.stop()


class _Server(uvicorn.Server):
    """Uvicorn that tells the service when it is to end, and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn raises signals again at its end, which would kill the process before it is done."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _end(self, number: int) -> None:
        log.info("ending: requests under way have up to %g s", self.service.params.shutdown_s)
        self.service.is_draining = True
        self.handle_exit(number, None)


@contextmanager
def _listening(params: ServeParams) -> Iterator[socket.socket]:
    """A bound socket. Raises ServerError with the reason."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            params.host, params.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        raise ServerError(f"{params.host}: {error.strerror}; give an address of this machine with --host") from None
    with listener:
        try:
            listener.bind(address)
        except OSError as error:
            raise ServerError(
                f"{params.host}:{params.port}: {error.strerror}; choose another with --host and --port"
            ) from None
        yield listener


def _raise_file_limit() -> None:
    """A connection is an open file, and the usual limit of 1,024 is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted: Any = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
