"""gristmill ui: both servers, for real."""

import signal
import urllib.request
from pathlib import Path

import pytest

from flows.prefect_server import listen


def body(url: str) -> str:
    with urllib.request.urlopen(url, timeout=1800) as reply:
        return reply.read().decode()


def test_both_uis_answer_until_ctrl_c_and_nothing_is_left(finished, shell, free_port: int):
    with shell.start("ui", "--mlflow-port", str(free_port)) as process:
        prefect, mlflow, hint = (process.stdout.readline().strip() for _ in range(3))
        assert hint == "Ctrl-C ends both."
        assert "<title>Prefect" in body(prefect.split()[1])
        assert "MLflow" in body(mlflow.split()[1])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=1800)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    listen(free_port).close()


def test_the_mlflow_server_does_not_outlive_a_killed_command(finished, shell, free_port: int):
    with shell.start("ui", "--mlflow-port", str(free_port)) as process:
        assert process.stdout.readline().startswith("Prefect: http")
        process.kill()
    answered = True
    while answered:  # it ends by itself, or this test hangs until the session's limit
        try:
            body(f"http://127.0.0.1:{free_port}/health")
        except OSError:
            answered = False


@pytest.mark.parametrize(("option", "name"), [("--mlflow-port", "MLflow"), ("--prefect-port", "Prefect")])
def test_a_taken_port_is_named_with_the_remedy(lone_shell, free_port: int, option: str, name: str, tmp_path: Path):
    other = {"--mlflow-port": "--prefect-port", "--prefect-port": "--mlflow-port"}[option]
    with listen(0) as taken:
        port = taken.getsockname()[1]
        said = lone_shell("ui", option, str(port), other, str(free_port))
    assert said.returncode == 1
    assert f"port {port} for {name} is taken" in said.stderr
    assert f"choose another with {option}" in said.stderr
    assert "Traceback" not in said.stderr
