"""The servers a command talks to: the user's own where set, else a Prefect server started for as long as it is used."""

import json
import logging
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.home import Home
from flows.prefect_server import ADDRESS, DEFAULT_PORT, INHERITED, USERS_LOCK, listen, listen_anywhere
from params.errors import ServerError
from tasks.artifacts.lock import is_locked, lock_shared
from tasks.notices.redaction import redacted

log = logging.getLogger(__name__)

SERVER_LOG = "prefect-server.log"
_START_TIMEOUT_S = 300.0
"""Seven seconds on a quiet machine; minutes where a dozen processes share a core."""
_POLL_S = 0.05
_NUM_LOG_LINES = 12
_LOOK_S = 0.5
_MAX_KILLED = 3
_MAX_FAILURES = 6
"""Starts in a row, ever later, of which none made a server that answers: half a minute."""


@dataclass(frozen=True)
class Address:
    """A Prefect server that answers."""

    url: str
    pid: int | None = None
    """None for a user's own server."""

    @property
    def api(self) -> str:
        """What PREFECT_API_URL is set to."""
        return f"{self.url}/api"


class PrefectServer:
    """The Prefect server of one command: asked for at once, waited for when it is needed.

    Starting takes seconds, most of them imports in its own process, so a command asks first and imports meanwhile.
    The server ends after its last user; a command is a user until its process ends, whatever ends it, so that what
    Prefect's client still has to send at exit finds its server. One that dies before (kill -9, out of memory) is
    started again at the same port. The listening socket is the command's as well as the server's: connections made in
    between wait in it instead of being refused, and a run goes on as if the server had been slow.
    """

    def __init__(self, home: Home, *, port: int | None = None) -> None:
        self.home = home
        self.port = port
        self.own_api = os.environ.get("PREFECT_API_URL")
        """A server of the user's own."""
        self._address_file = home.prefect / ADDRESS
        self._server_pid: int | None = None
        self._ended = self._was_killed = False
        self._num_killed = 0
        self._listener: socket.socket | None = None
        self._log_start = 0
        if self.own_api is None:
            self._use = lock_shared(home.prefect / USERS_LOCK)
            if not is_locked(self._address_file):
                self._start()

    def announce(self) -> None:
        """Set PREFECT_API_URL, as soon as the port is known; Prefect reads it when it is imported."""
        if self.own_api is None:
            os.environ["PREFECT_API_URL"] = self._wait(lambda address: True).api

    def ready(self) -> Address:
        """Its address, once it answers. Raises ServerError."""
        if self.own_api is not None:
            return _reach(self.own_api)
        address = self._wait(lambda address: answers(address.url))
        if self._server_pid is not None and self.port is None and not address.url.endswith(f":{DEFAULT_PORT}"):
            log.info("port %d is taken: the Prefect server of this command listens at %s", DEFAULT_PORT, address.url)
        threading.Thread(target=self._keep_alive, args=(address.url,), name="prefect-server", daemon=True).start()
        return address

    def _keep_alive(self, url: str) -> None:
        """Start the server again whenever it is gone, until that has failed too often."""
        self.port, failures = int(url.rpartition(":")[2]), 0
        while failures < _MAX_FAILURES:
            time.sleep(_LOOK_S * 2**failures)
            if is_locked(self._address_file):
                failures = 0 if failures == 0 or answers(url) else failures
                continue
            failures += 1
            if failures == 1:
                log.warning("the Prefect server at %s is gone; it is started again", url)
            with suppress(ServerError, OSError):  # the port belongs to the command that starts it, or the disk is full
                if self._server_pid is not None:
                    self._has_ended()  # take note of its end, or it stays a zombie
                self._start()
        self._close_listener()
        log.warning("the Prefect server does not start again; the end of %s says why", self.home.logs / SERVER_LOG)

    def _listen(self) -> socket.socket:
        try:
            return listen(self.port) if self.port else listen_anywhere()
        except OSError as error:
            raise ServerError(f"port {self.port} for Prefect is taken ({error.strerror}); choose another") from None

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _start(self) -> None:
        """Spawn the server in a session of its own: Ctrl-C must not reach it, other commands may use it."""
        self._listener = self._listener or self._listen()
        self._ended = False
        log_path = self.home.logs / SERVER_LOG
        arguments = [sys.executable, "-P", "-m", "flows.prefect_server", str(self.home.root)]
        with log_path.open("ab") as output:
            self._log_start = output.tell()
            handed = max(self._listener.fileno(), output.fileno()) + 1
            self._server_pid = os.posix_spawn(
                sys.executable,
                [*arguments, f"{INHERITED}{handed}"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self._listener.fileno(), handed),
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsid=True,
            )

    def _has_ended(self) -> bool:
        assert self._server_pid is not None
        if not self._ended:
            pid, status = os.waitpid(self._server_pid, os.WNOHANG)
            self._ended, self._was_killed = pid != 0, os.WIFSIGNALED(status)
        return self._ended

    def _wait(self, accepted: Callable[[Address], bool]) -> Address:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            address = read_address(self._address_file)
            if address is not None and accepted(address) and read_address(self._address_file) == address:
                if address.pid != self._server_pid:
                    self._close_listener()  # another command's server was quicker
                return address
            if not is_locked(self._address_file):
                self._start_or_give_up()
            time.sleep(_POLL_S)
        raise self._failure(f"did not answer within {_START_TIMEOUT_S:.0f} s")

    def _start_or_give_up(self) -> None:
        if self._server_pid is None:  # the one we found has ended since
            self._start()
        elif self._has_ended() and not is_locked(self._address_file):
            if not self._was_killed or self._num_killed == _MAX_KILLED:
                raise self._failure("ended while starting")
            self._num_killed += 1  # kill -9, out of memory: that says nothing of the next one
            self._start()

    def _failure(self, what: str) -> ServerError:
        path = self.home.logs / SERVER_LOG
        with path.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").strip().splitlines()[-_NUM_LOG_LINES:]
        said = "".join(f"\n  {line}" for line in lines)
        return ServerError(
            f"the Prefect server {what}; the end of {path} says:{said or ' nothing'}\n"
            f"start again; if it stays, move {self.home.prefect / 'prefect.db'} away (it holds only the UI's history), "
            "or set PREFECT_API_URL to a server of yours"
        )


def read_address(path: Path) -> Address | None:
    """The address a living server wrote; None while there is none."""
    if not is_locked(path):
        return None
    try:
        said = json.loads(path.read_bytes())
    except ValueError:  # it has the lock and is about to write
        return None
    return Address(said["url"], said["pid"])


def answers(url: str, timeout_s: float = 5.0) -> bool:
    """Whether a Prefect server answers there now."""
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=timeout_s) as reply:
            return bool(json.loads(reply.read()) is True)
    except (OSError, ValueError):
        return False


def check_mlflow(uri: str) -> None:
    """Raise ServerError where a user's own MLflow server does not answer at all."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10):
            return
    except urllib.error.HTTPError:  # it answers: whether it lets us in is for the client to find out
        return
    except OSError as error:
        raise ServerError(
            f"MLflow at MLFLOW_TRACKING_URI={redacted(uri)} does not answer ({error}); start it, "
            "or unset MLFLOW_TRACKING_URI to use the database in the home folder"
        ) from None


def mlflow_unusable(uri: str, error: Exception) -> ServerError:
    """What to do where MLflow is there and refuses: a damaged or newer database, or wrong credentials."""
    reason = redacted(str(error).splitlines()[0])
    remedy = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and the server's log"
    if uri.startswith("sqlite:"):
        remedy = "bring a copy of it back, or move it away (it holds the history of runs and the registry)"
    return ServerError(f"MLflow at {redacted(uri)} cannot be used ({reason}); {remedy}")


def _reach(api: str) -> Address:
    url = api.rstrip("/").removesuffix("/api")
    request = urllib.request.Request(f"{api.rstrip('/')}/health")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return Address(url)
    except urllib.error.HTTPError:
        return Address(url)
    except OSError as error:
        raise ServerError(
            f"Prefect at PREFECT_API_URL={api} does not answer ({error}); start it, "
            "or unset PREFECT_API_URL and a server is started for the command"
        ) from None
