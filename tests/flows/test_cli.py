"""The command line: help, errors and exit codes."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli

(LISTED,) = (action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
COMMANDS = list(LISTED.choices)
TEXT = "The miller of the village has a mill that turns in the wind, and he grinds the corn of all the farmers. " * 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--home" in shown
    assert f"gristmill {command}" in shown or command in ("presets", "schema")


def test_the_help_names_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert [command for command in COMMANDS if not re.search(rf"\n    {command}\s", shown)] == []
    assert "130 interrupted" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "quickstrat"], "no preset named 'quickstrat'; did you mean quickstart?"),
        (["run", "missing.yaml"], "missing.yaml: no such preset file; the built-in presets are quickstart, tiny"),
        (["run", "tiny", "--set", "train.stop.max_step=1"], "unknown key train.stop.max_step; did you mean max_steps?"),
        (["run", "tiny", "--set", "train.sede=1"], "override: unknown key train.sede; did you mean seed?"),
        (["plan", "tiny", "--set", "train.seed=-1"], "override: train.seed is -1;"),
        (["explain", "tiny", "--set", "seed"], "write it as section.key=value, for example train.seed=7"),
        (["run", "tiny", "--set", "train.seed=[1"], "the value is not YAML"),
        (["plan", "--home", "a?b"], "a database URI cannot hold ? or #"),
        (["verify", "--stage", "grind"], "no result of a stage 'grind'"),
        (["runs", "show", "x"], "no run is named 'x'; gristmill runs list shows them"),
    ],
)
def test_a_parameter_that_cannot_be_used_ends_with_2_and_the_remedy(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRISTMILL_HOME", raising=False)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gristmill: error: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["mill"],
        ["run", "--fast"],
        ["gc", "--keep-runs", "0"],
        ["ui", "--mlflow-port", "99999"],
        ["up", "--prefect-port", "0"],
        ["up", "--nightly", "tiny", "--grace", "nan"],
        ["estimate", "--price", "-3"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "gristmill" in capsys.readouterr().err


def test_the_command_line_is_there_at_once_without_the_heavy_libraries():
    show = "import sys, flows.cli; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    heavy = ("torch", "transformers", "mlflow", "numba", "prefect", "onnx", "onnxruntime", "datasets")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1"])
def test_a_terminal_of_another_encoding_gets_question_marks_and_no_traceback(encoding: str):
    code = "from flows import cli\ntry:\n  cli.main(['pull', '--help'])\nexcept SystemExit: cli.say('ê 山 😀')"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding}, check=True)
    assert said.stderr == "ê 山 😀\n".encode(encoding, "replace")
    assert b"Fetch a released model" in said.stdout


def test_the_flow_is_imported_without_the_heavy_libraries():
    show = "import sys, flows.pipeline; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    heavy = ("torch", "transformers", "mlflow", "numba", "onnx", "onnxruntime", "datasets")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


def folder_of(tmp_path: Path, *texts: str) -> Path:
    (tmp_path / "text").mkdir(parents=True)
    for index, text in enumerate(texts):
        (tmp_path / "text" / f"{index:03}.txt").write_text(text, encoding="utf-8")
    return tmp_path / "text"


def test_text_that_cannot_be_trained_on_ends_with_1_and_the_remedy(shell, tmp_path: Path):
    tiny_splits = ("split.validation=0.0001", "split.test=0.0001")
    cases = {
        "an empty folder": ((), (), "no file"),
        "one document": ((TEXT,), (), "too few"),
        "nothing left after cleaning": (("Too short.",) * 3, (), "no text is left"),
        "no validation split": ((TEXT, TEXT + "And more.", TEXT.upper()), tiny_splits, "validation"),
    }
    commands = []
    for name, (texts, settings, _) in cases.items():
        more = [part for setting in (*settings, "dedup.near=false") for part in ("--set", setting)]
        commands.append(shell.tiny(folder_of(tmp_path / name, *texts), *more))
    for (_, _, said), done in zip(cases.values(), shell.in_turn(*commands), strict=True):
        assert done.returncode == 1, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("gristmill: error: ")
        assert said in last
        assert "Traceback" not in done.stderr + done.stdout


def test_a_home_that_may_not_be_written_ends_with_1_and_the_remedy(tmp_path: Path):
    tmp_path.chmod(0o755)
    (tmp_path / "forbidden").mkdir(mode=0o555)
    run = (
        "import os, sys; from flows import cli\n"
        "os.getuid() or os.setuid(65534)  # root may write anywhere\n"
        "sys.exit(cli.main(['run', 'tiny', '--home', 'forbidden/home']))"
    )
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "forbidden/home: cannot make this folder (Permission denied); choose another with --home" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_with_1_and_the_remedy(shell, lone_shell, tmp_path: Path, corpus: Path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(lone_shell.home)]
    lone_shell.home.mkdir()
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    elsewhere = {
        "PREFECT_API_URL": _address(shell.home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    for index in range(30):
        (tmp_path / "text").mkdir(exist_ok=True)
        for path in corpus.iterdir():
            (tmp_path / "text" / f"{index}-{path.name}").write_text(f"{path.read_text()}\n{index}\n")
    try:
        done = lone_shell(*lone_shell.tiny(tmp_path / "text"), **elsewhere)
    finally:
        subprocess.run(["umount", "-l", str(lone_shell.home)], check=True)
    assert done.returncode == 1, done.stderr
    assert "no space left in" in done.stderr
    assert "gristmill gc" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def _address(home: Path) -> str:
    from flows.servers import read_address

    address = read_address(home / "prefect" / "server.json")
    assert address is not None
    return address.api
