"""A Prefect server that commands share, and that ends itself when no command uses it any more.

    python -m flows.prefect_server HOME PORT|fd:N

Every command holds `users.lock` shared; a thread here asks for it exclusively, and the kernel grants that only when
the last user has ended, be it by kill -9. The server's own lock is its address file: an address counts only while
the lock is held, so one that a dead server left deceives nobody. A listening socket that a command shares with it
(fd:N) outlives it, and the next server goes on with that.
"""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flows.home import Home, open_home
from tasks.artifacts.lock import try_lock

if TYPE_CHECKING:
    from uvicorn import Server

USERS_LOCK = "users.lock"
ADDRESS = "server.json"
DEFAULT_PORT = 4200
INHERITED = "fd:"
"""Begin of an argument that names an open socket instead of a port."""
_HOST = "127.0.0.1"
_GRACE_S = 10.0
_LOOK_S = 0.02


def main(arguments: list[str]) -> int:
    """Serve the Prefect API and UI on a home's data until no command uses it."""
    home = open_home(Path(arguments[0]))
    address = os.open(home.prefect / ADDRESS, os.O_RDWR | os.O_CREAT, 0o666)
    if not _is_ours(address):
        return 0  # another command's server was quicker: both commands will use that one
    os.ftruncate(address, 0)
    listener = _listener(arguments[1])
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    os.environ["PREFECT_UI_API_URL"] = f"{url}/api"
    os.environ.pop("PREFECT_API_URL", None)
    server = _server()
    threading.Thread(target=_end_when_unused, args=(home, server), daemon=True).start()
    os.pwrite(address, json.dumps({"url": url, "pid": os.getpid()}).encode(), 0)
    server.run(sockets=[listener])
    os.ftruncate(address, 0)
    sys.stdout.flush()
    os._exit(0 if server.started else 1)  # all is closed; taking the interpreter apart would only keep the next waiting


def _is_ours(address: int) -> bool:
    """Take the lock of the address file; commands that look whether it is held hold it for an instant themselves."""
    for _ in range(5):
        if try_lock(address):
            return True
        time.sleep(_LOOK_S)
    return False


def _listener(argument: str) -> socket.socket:
    if argument.startswith(INHERITED):
        return socket.socket(fileno=int(argument.removeprefix(INHERITED)))
    return listen(int(argument))


def listen(port: int) -> socket.socket:
    """A listening socket; raises OSError where the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def listen_anywhere() -> socket.socket:
    """A listening socket at Prefect's usual port, or at any free one where that is taken."""
    try:
        return listen(DEFAULT_PORT)
    except OSError:
        return listen(0)


def _server() -> "Server":
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            log_level="warning",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    )


def _end_when_unused(home: Home, server: "Server") -> None:
    users = os.open(home.prefect / USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(users, fcntl.LOCK_EX)
    server.should_exit = True
    threading.Event().wait(_GRACE_S)
    os._exit(1)  # it hangs: whatever it holds must not outlive its users


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
