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

from flows.home import open_home

_GRACE_S = 10.0


def main(arguments: list[str]) -> int:
    """Serve MLflow's UI on a home's data until standard input ends."""
    home = open_home(Path(arguments[0]))
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # halves the start; evaluations of agents only
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", arguments[1]]
    stores = ["--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"]]
    stores += ["--default-artifact-root", home.mlflow_artifacts.as_uri(), "--workers", "1"]
    server = subprocess.Popen(command + stores, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_command, args=(server,), daemon=True).start()
    return server.wait()


def _end_with_command(server: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    server.terminate()
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)  # its own session: this process, the server and its workers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
