"""gristmill ui: both UIs on the home's data until Ctrl-C."""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flows.console import say
from flows.home import Home, open_home
from flows.prefect_server import listen
from flows.servers import PrefectServer, read_address
from params.errors import ServerError

_MLFLOW_LOG = "mlflow-server.log"
_START_TIMEOUT_S = 300.0
_POLL_S = 0.1


def ui(arguments: argparse.Namespace) -> int:
    """Serve both UIs until interrupted."""
    home = open_home(arguments.home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    own_mlflow = os.environ["MLFLOW_TRACKING_URI"].startswith(("http://", "https://"))
    prefect_is_up = "PREFECT_API_URL" in os.environ or read_address(home.prefect / "server.json") is not None
    if not prefect_is_up:
        _check_free(arguments.prefect_port, "Prefect", "--prefect-port")
    if not own_mlflow:
        _check_free(arguments.mlflow_port, "MLflow", "--mlflow-port")
    say("starting the servers …")
    server = PrefectServer(home, port=arguments.prefect_port)
    with _mlflow(home, None if own_mlflow else arguments.mlflow_port) as mlflow_url:
        print(f"Prefect: {server.ready().url}\nMLflow:  {mlflow_url}\nCtrl-C ends both.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            say("")
    return 0


def _check_free(port: int, what: str, option: str) -> None:
    try:
        listen(port).close()
    except OSError as error:
        raise ServerError(
            f"port {port} for {what} is taken ({error.strerror}); choose another with {option}, "
            f"or end what listens there (ss -ltnp 'sport = :{port}' names it)"
        ) from None


@contextmanager
def _mlflow(home: Home, port: int | None) -> Iterator[str]:
    """The URL of the MLflow UI; with a port it is started, else it is the user's own."""
    if port is None:
        yield os.environ["MLFLOW_TRACKING_URI"]
        return
    log_path = home.logs / _MLFLOW_LOG
    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.mlflow_server", str(home.root), str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(url):
            if process.poll() is not None:
                said = log_path.read_text(errors="replace").strip().splitlines()[-12:]
                raise ServerError(f"the MLflow server ended while starting; {log_path} says:\n  " + "\n  ".join(said))
            time.sleep(_POLL_S)
        yield url
    finally:
        process.stdin.close()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False
