"""The MLflow UI of `gristmill ui`, ended when the command that started it ends, whatever ends that command.

    python -m flows.mlflow_server HOME PORT

Its standard input is a pipe from the command: the kernel closes it when the command dies, be it by kill -9.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from flows.home import Home, open_home

_GRACE_S = 10.0


def main(arguments: list[str]) -> int:
    """Serve MLflow's UI on a home's data until standard input ends."""
    home = open_home(Path(arguments[0]))
    server = subprocess.Popen(
        server_command(home, int(arguments[1])), env=os.environ | server_environment(), stdin=subprocess.DEVNULL
    )
    threading.Thread(target=_end_with_command, args=(server,), daemon=True).start()
    return server.wait()


def server_command(home: Home, port: int) -> list[str]:
    """MLflow's server on a home's data, for this machine alone; the database stands in its environment."""
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    artifacts = ["--default-artifact-root", home.mlflow_artifacts.as_uri()]
    return [sys.executable, "-P", "-m", "mlflow", "server", *where, *artifacts]


def server_environment() -> dict[str, str]:
    """Its database, whose URL may hold a password: on the command line everybody could read it."""
    return {
        "MLFLOW_BACKEND_STORE_URI": os.environ["MLFLOW_TRACKING_URI"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # halves the start; evaluations of agents only
    }


def _end_with_command(server: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    server.terminate()
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)  # its own session: this process, the server and its workers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
