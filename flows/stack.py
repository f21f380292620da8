"""The processes of `gristmill up`: Prefect server, MLflow server and worker, kept alive until they are asked to end.

    python -m flows.stack HOME PREFECT_PORT MLFLOW_PORT

It holds the lock of its state file as long as it lives, so the file of one that was killed deceives nobody, and every
process it starts (and what those start) bears GRISTMILL_STACK=<id> in its environment, by which the last of them is
found: a number of a process may belong to somebody else by then, that mark does not.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flows.home import Home, open_home
from flows.mlflow_server import server_command, server_environment
from flows.prefect_server import ADDRESS, INHERITED, USERS_LOCK, listen
from flows.servers import SERVER_LOG, answers, read_address
from tasks.artifacts.lock import is_locked, lock_shared, try_lock
from tasks.training.parent import die_with_parent

STATE = "stack.json"
MARK = "GRISTMILL_STACK"
POOL = "gristmill"
HEARTBEAT_S = 30
_POLL_S = 0.3
_GRACE_S = 30.0
_LONGEST_PAUSE_S = 60.0


@dataclass
class Service:
    """A process that is started again when it ends."""

    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    listener: socket.socket | None = None
    """Its listening socket, which outlives it: connections made until it is back wait there."""
    process: "subprocess.Popen[bytes] | None" = None
    failures: int = 0
    started: float = 0.0

    def keep_alive(self) -> None:
        """Start it where it does not run; ever later while it keeps failing."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self.failures = 1 if now - self.started > _LONGEST_PAUSE_S else self.failures + 1
            self.process = None
        if self.process is None and now >= self.started + self._pause_s():
            self.started = now
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    self.command if self.listener is None else [*self.command, f"{INHERITED}{self.listener.fileno()}"],
                    pass_fds=() if self.listener is None else (self.listener.fileno(),),
                    env=os.environ | self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),
                )

    def end(self) -> None:
        """Ask it to end, and kill it when it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _pause_s(self) -> float:
        return min(2.0 ** min(self.failures, 10), _LONGEST_PAUSE_S) if self.failures else 0.0


class Stack:
    """What is kept running on a home."""

    def __init__(self, home: Home, prefect_port: int, mlflow_port: int) -> None:
        self.home = home
        self.own_api = os.environ.get("PREFECT_API_URL")
        """A team's own Prefect server; MLFLOW_TRACKING_URI names their MLflow server likewise."""
        self._prefect_port = prefect_port
        server = [sys.executable, "-P", "-m", "flows.prefect_server", str(home.root)]
        self.prefect = Service(server, home.logs / SERVER_LOG)
        self.mlflow = Service(server_command(home, mlflow_port), home.logs / "mlflow-server.log", server_environment())
        uri = os.environ["MLFLOW_TRACKING_URI"]
        self.own_mlflow = uri if uri.startswith(("http://", "https://")) else None
        self.mlflow_url = self.own_mlflow or f"http://127.0.0.1:{mlflow_port}"
        address = {"GRISTMILL_MLFLOW_URL": self.mlflow_url}
        self.worker = Service(worker_command(), home.logs / "worker.log", address)

    def keep_alive(self) -> dict[str, object]:
        """Start what does not run; where the servers are."""
        if self.own_mlflow is None:
            self.mlflow.keep_alive()
        api = self._prefect_api()
        if api is None:
            return {}
        if os.environ.get("PREFECT_API_URL", api) != api:  # the server has moved: the worker must follow
            self.worker.end()
        os.environ["PREFECT_API_URL"] = api
        self.worker.keep_alive()
        return {"prefect": api.removesuffix("/api"), "mlflow": self.mlflow_url}

    def end(self) -> None:
        """End the worker first: it still has to tell its server."""
        for service in (self.worker, self.mlflow, self.prefect):
            service.end()

    def _prefect_api(self) -> str | None:
        """None while the server starts; one that another command has begun serves as well, and lives on for us."""
        if self.own_api is not None:
            return self.own_api
        if not is_locked(self.home.prefect / ADDRESS):
            self._serve_prefect()
        address = read_address(self.home.prefect / ADDRESS)
        if address is None or not (self.worker.process or answers(address.url)):
            return None
        return address.api

    def _serve_prefect(self) -> None:
        """Start the server, with a socket of ours; where the port is taken a command's server is about to have it."""
        if self.prefect.listener is None:
            with suppress(OSError):
                self.prefect.listener = listen(self._prefect_port)
        if self.prefect.listener is not None:
            self.prefect.keep_alive()


def worker_command() -> list[str]:
    """The worker of the process pool; it makes the pool where there is none."""
    options = ["--pool", POOL, "--type", "process", "--install-policy", "never"]
    return [sys.executable, "-P", "-m", "prefect", "worker", "start", *options]


def main(arguments: list[str]) -> int:
    """Keep a home's stack running until SIGTERM."""
    home = open_home(Path(arguments[0]))
    state = os.open(home.root / STATE, os.O_RDWR | os.O_CREAT, 0o600)
    if not try_lock(state):
        return 0  # another one is up
    os.ftruncate(state, 0)
    users = lock_shared(home.prefect / USERS_LOCK)
    os.environ[MARK] = secrets.token_hex(8)
    _write(state, {"id": os.environ[MARK], "pid": os.getpid()})
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stack = Stack(home, int(arguments[1]), int(arguments[2]))
    os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(HEARTBEAT_S)
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", "3")
    while not ended.wait(_POLL_S):
        _write(state, {"id": os.environ[MARK], "pid": os.getpid(), **stack.keep_alive()})
    stack.end()
    os.close(users)
    return 0


def marked_processes(mark: str) -> Iterator[int]:
    """Processes of ours that bear the mark of a stack."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid
        except psutil.Error:  # not ours, or gone
            continue


def _write(state: int, what: dict[str, object]) -> None:
    """Replace the state in place: its lock goes with the open file, so it cannot be renamed over."""
    text = json.dumps(what).encode()
    if os.pread(state, len(text) + 1, 0) != text:
        os.ftruncate(state, 0)
        os.pwrite(state, text, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
