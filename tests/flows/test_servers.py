"""The Prefect server that commands share: real processes on loopback."""

import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from flows.home import Home
from flows.prefect_server import listen, listen_anywhere
from flows.servers import answers, check_mlflow, read_address
from params.errors import ServerError

USE = """
import sys
from pathlib import Path
from flows.home import open_home
from flows.servers import PrefectServer
from params.errors import ServerError
try:
    address = PrefectServer(open_home(Path(sys.argv[1]))).ready()
except ServerError as error:
    sys.exit(str(error))
print(address.url, address.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def users(lone_shell):
    """Start processes that use the Prefect server of one home until their standard input ends."""
    with ExitStack() as stack:

        def use(**environment: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", USE, str(lone_shell.home)]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            process = subprocess.Popen(command, env=lone_shell.env | environment, text=True, **pipes)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield use


def wait_for_the_end(home: Path) -> None:
    """Return once the server of a home has ended: its lock is free."""
    with (home / "prefect" / "server.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def wait_for_the_death(pid: int) -> None:
    """Return once a process is gone: its lock is free an instant earlier."""
    deadline = time.monotonic() + 1800
    while is_alive(pid) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def states_in_prefect(home: Path) -> list[str]:
    """Of the flow runs, oldest first."""
    with closing(sqlite3.connect(f"file:{home / 'prefect' / 'prefect.db'}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("select state_name from flow_run order by created")]


def test_users_that_start_together_share_a_server_which_ends_after_the_last_be_it_killed(users, lone_shell):
    first, second = users(), users()
    lines = [process.stdout.readline() for process in (first, second)]
    assert lines[0] == lines[1]
    url, pid = lines[0].split()
    assert answers(url)
    first.stdin.close()
    assert first.wait() == 0
    assert answers(url)
    os.kill(second.pid, signal.SIGKILL)
    wait_for_the_end(lone_shell.home)
    assert not answers(url)
    wait_for_the_death(int(pid))


def test_a_server_that_cannot_start_is_reported_with_its_last_words_and_the_remedy(users, lone_shell):
    (lone_shell.home / "prefect").mkdir(parents=True)
    (lone_shell.home / "prefect" / "prefect.db").write_text("this is no database " * 100)
    process = users()
    _, said = process.communicate()
    assert process.returncode == 1
    assert "the Prefect server ended while starting; the end of" in said
    assert "file is not a database" in said
    assert "move" in said
    assert "PREFECT_API_URL" in said


def test_a_taken_port_is_passed_over():
    with listen_anywhere() as first, listen_anywhere() as second:
        assert first.getsockname()[1] != second.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen(first.getsockname()[1])


def test_a_users_own_server_that_does_not_answer_is_named_with_the_remedy(users):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        process = users(PREFECT_API_URL=f"http://127.0.0.1:{unused.getsockname()[1]}/api")
        _, said = process.communicate()
    assert process.returncode == 1
    assert "does not answer" in said
    assert "unset PREFECT_API_URL and a server is started for the command" in said


def test_a_users_own_server_is_used_and_none_is_started(users, home: Path, lone_shell):
    url = read_address(Home(home).prefect / "server.json").url
    process = users(PREFECT_API_URL=f"{url}/api")
    assert process.stdout.readline() == f"{url} None\n"
    assert not (lone_shell.home / "prefect" / "server.json").exists()


def test_mlflow_that_does_not_answer_is_named_with_the_remedy():
    check_mlflow("sqlite:///anywhere.db")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ServerError, match=r"does not answer .* unset MLFLOW_TRACKING_URI"):
            check_mlflow(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ServerError, match=r"does not answer") as raised:
            check_mlflow(f"http://me:secret@127.0.0.1:{unused.getsockname()[1]}")
        assert "secret" not in str(raised.value)


def test_a_killed_server_is_started_again_for_what_is_asked_in_between_and_a_dead_address_deceives_nobody(
    users, lone_shell
):
    file = lone_shell.home / "prefect" / "server.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    assert read_address(file) is None
    user = users()
    url, pid = user.stdout.readline().split()
    assert url != "http://127.0.0.1:9"
    os.kill(int(pid), signal.SIGKILL)
    wait_for_the_end(lone_shell.home)
    assert answers(url, timeout_s=1800)
    again = read_address(file)
    assert again is not None
    assert again.url == url
    assert again.pid != int(pid)
    user.kill()  # it would start the server once more
    os.kill(again.pid, signal.SIGKILL)
    wait_for_the_end(lone_shell.home)
    assert read_address(file) is None


def test_a_server_that_is_killed_while_it_starts_is_started_again(users, lone_shell):
    user, file = users(), lone_shell.home / "prefect" / "server.json"
    while (starting := read_address(file)) is None:
        assert user.poll() is None
    os.kill(starting.pid, signal.SIGKILL)
    url, pid = user.stdout.readline().split()
    assert answers(url)
    assert int(pid) != starting.pid


@pytest.mark.slow
def test_a_run_goes_on_when_its_prefect_server_is_killed(lone_shell, corpus: Path):
    with lone_shell.start(*lone_shell.tiny(corpus)) as run:
        assert run.stderr is not None
        assert any("train: starts" in line for line in run.stderr)
        address = read_address(lone_shell.home / "prefect" / "server.json")
        assert address is not None
        os.kill(address.pid, signal.SIGKILL)
        said = run.communicate(timeout=1800)[1]
    assert run.returncode == 0, said
    assert f"warning: the Prefect server at {address.url} is gone; it is started again" in said
    assert states_in_prefect(lone_shell.home) == ["Completed"]


@pytest.mark.slow
def test_a_run_whose_own_prefect_server_is_gone_for_good_ends_soon_and_is_closed_by_the_next(
    users, lone_shell, corpus: Path, tmp_path: Path
):
    owner = users()
    url, pid = owner.stdout.readline().split()
    team = {"PREFECT_API_URL": f"{url}/api", "PREFECT_CLIENT_MAX_RETRIES": "1", "GRISTMILL_HOME": str(tmp_path / "run")}
    with lone_shell.start(*lone_shell.tiny(corpus), **team) as run:
        assert run.stderr is not None
        assert any("train: starts" in line for line in run.stderr)
        for process in (owner.pid, int(pid)):
            os.kill(process, signal.SIGKILL)
        said = run.communicate(timeout=1800)[1]
    assert run.returncode == 1
    assert f"the Prefect server at {url}/api is gone" in said
    assert "fault of gristmill" not in said
    assert states_in_prefect(lone_shell.home) == ["Running"]
    url, _ = users().stdout.readline().split()
    again = lone_shell(*lone_shell.tiny(corpus), **team | {"PREFECT_API_URL": f"{url}/api"})
    assert again.returncode == 0, again.stderr
    assert states_in_prefect(lone_shell.home) == ["Crashed", "Completed"]
