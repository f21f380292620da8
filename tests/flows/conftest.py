"""Real text, a real Prefect server and one finished run, shared by the session; commands run as a user runs them."""

import io
import json
import os
import pty
import pydoc_data.topics
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from flows import cli
from flows.servers import read_address

HOLD_SERVER = """
import sys
from pathlib import Path
from flows.home import open_home
from flows.servers import PrefectServer
print(PrefectServer(open_home(Path(sys.argv[1]))).ready().url, flush=True)
sys.stdin.read()
"""
IN_TURN = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from flows import cli
for command in json.load(sys.stdin):
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = cli.main(command)
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""
QUICK = {
    "train.stop.max_steps": "12",
    "train.eval_every_steps": "6",
    "run.compile": "false",
    "run.watch.ceilings": "false",
    "run.watch.samples.max_tokens": "4",
    "clean.words.min_alpha_words": "null",  # the topics are full of code
}
LIMIT_S = 1800
CTRL_C = "\x03"
MAX_SILENT_S = 1800
"""Without a sign of a program at a terminal; the start of Python takes some time on a busy machine."""


def clean_environment() -> dict[str, str]:
    """The environment without what points at servers or homes; the compiled kernels are those of all tests."""
    ours = ("PYTEST_", "PYTHONWARNINGS", "PREFECT_", "MLFLOW_", "GRISTMILL_", "HF_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def heed_ctrl_c() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Shell:
    """Runs gristmill in a folder, on a home."""

    home: Path
    cwd: Path
    env: dict[str, str] = field(default_factory=clean_environment)

    def tiny(self, text: Path, *more: str, command: str = "run") -> tuple[str, ...]:
        """The arguments of the tiny preset on a folder of text, made quicker still."""
        values = QUICK | {"survey.sources": f"[{{name: text, path: '{text}'}}]"}
        settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        return (command, "tiny", *settings, *more)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A command under way."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=self.cwd,
            env=self.env | {"GRISTMILL_HOME": str(self.home)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_ctrl_c,
        )

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command that has ended."""
        with self.start(*arguments, **environment) as process:
            try:
                out, err = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def in_turn(self, *commands: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        """Commands one after the other in one process, whose start they share."""
        done = subprocess.run(
            [sys.executable, "-c", IN_TURN],
            cwd=self.cwd,
            env=self.env | {"GRISTMILL_HOME": str(self.home)},
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stderr
        ends = [json.loads(line) for line in done.stdout.splitlines()]
        return [subprocess.CompletedProcess(command, *end) for command, end in zip(commands, ends, strict=True)]

    def here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same in this process, where no process is the point: its start costs seconds, most of them imports."""
        out, err = io.StringIO(), io.StringIO()
        environment = self.env | {"GRISTMILL_HOME": str(self.home)}
        if "mlflow" in sys.modules:  # it prefers an address that was given to it in this process to its environment
            sys.modules["mlflow"].set_tracking_uri(None)
        there = patch.dict(os.environ, environment, clear=True)
        with there, chdir(self.cwd), redirect_stdout(out), redirect_stderr(err):
            code = cli.main(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The topics of Python's help(): some eighty documents of real English prose."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, text in pydoc_data.topics.topics.items():
        (folder / f"{name.replace('/', '-')}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose path has a space and Chinese characters, with a Prefect server that stays for the session."""
    root = tmp_path_factory.mktemp("我的 work") / "grist mill 家"
    command = [sys.executable, "-c", HOLD_SERVER, str(root)]
    environment = clean_environment()
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith("http://127.0.0.1:")
        yield root
        assert holder.stdin is not None
        holder.stdin.close()


@pytest.fixture(scope="session")
def shell(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Commands on the shared home."""
    return Shell(home, tmp_path_factory.mktemp("cwd"))


@pytest.fixture
def lone_shell(tmp_path: Path) -> Shell:
    """Commands on a home of their own, without a server."""
    return Shell(tmp_path / "home", tmp_path)


@pytest.fixture(scope="session")
def finished(shell: Shell, corpus: Path) -> subprocess.CompletedProcess[str]:
    """A whole tiny run, from text to a registered model."""
    done = shell(*shell.tiny(corpus))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def finished_record(finished: subprocess.CompletedProcess[str], home: Path) -> dict[str, Any]:
    """The record of that run; other tests have runs on the same home."""
    found = (json.loads(path.read_text()) for path in (home / "store" / "runs").glob("*.json"))
    return next(record for record in found if record["run_id"] in finished.stdout)


@pytest.fixture
def prefect(shell) -> Iterator[Any]:
    """A client of the session's Prefect server."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = read_address(shell.home / "prefect" / "server.json")
    with temporary_settings({PREFECT_API_URL: address.api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def terminal() -> Iterator[Callable[..., tuple[int, str]]]:
    """`terminal(command, (sign, keys), …)` types keys at a pseudo-terminal, each once its sign is new on the screen.

    Gives the exit code, and what stood on the screen.
    """
    ours, theirs = pty.openpty()

    def run(command: list[str], *exchanges: tuple[str, str]) -> tuple[int, str]:
        environment = clean_environment() | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
        settings: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
        command = ["setsid", "--ctty", "--wait", *command]
        with subprocess.Popen(command, env=environment, preexec_fn=heed_ctrl_c, **settings) as process:
            os.close(theirs)
            screen = _converse(ours, list(exchanges), process)
        return process.returncode, screen

    yield run
    os.close(ours)


def _converse(terminal: int, waiting: list[tuple[str, str]], process: subprocess.Popen[bytes]) -> str:
    """Type until the other side is closed; kill who gives no sign for too long."""
    screen, seen, typed, silent = "", 0, "", 0
    while silent < MAX_SILENT_S:
        if not select.select([terminal], [], [], 1.0)[0]:
            silent += 1
            if typed.endswith(CTRL_C):  # in the instant before Python reads it is seen only at the next key
                os.write(terminal, CTRL_C.encode())
            continue
        try:
            screen += os.read(terminal, 1 << 16).decode(errors="replace")
        except OSError:  # the other side is closed
            return screen
        if waiting and waiting[0][0] in screen[seen:]:
            seen, (_, typed) = len(screen), waiting.pop(0)
            os.write(terminal, typed.encode())
    process.kill()
    return screen
