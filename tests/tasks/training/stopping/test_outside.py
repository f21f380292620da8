"""Files and commands that ask a run to end: real ones."""

import shlex
import sys
from pathlib import Path

from params.stop import CommandParams, StopParams
from tasks.training.stopping.outside import Command, Outside

PYTHON = shlex.quote(sys.executable)


def command(code, **more):
    params = CommandParams(run=f'{PYTHON} -c "{code}"', **{"every_evals": 1} | more)
    return Command(params)


def call(one, **about):
    one.poll(evaluated=True, about=about)
    one.wait()
    one.poll(evaluated=False, about={})


def test_a_file_that_appears_asks_with_its_first_line(tmp_path: Path, fired, seen):
    path = tmp_path / "stop me"
    outside = Outside(StopParams.model_validate({"max_steps": 9, "file": str(path)}))
    assert outside.look(evaluated=False, about={}) == {"file": None}
    path.write_text("够了\nmore", encoding="utf-8")
    assert outside.look(evaluated=False, about={}) == {"file": "够了"}
    path.write_text("")
    assert outside.look(evaluated=False, about={}) == {"file": "is there"}


def test_what_a_file_says_cannot_steer_a_terminal_or_fill_a_checkpoint(tmp_path: Path):
    path = tmp_path / "stop"
    path.write_bytes(b"\x1b[31mred\xff" + b"x" * 10_000)
    said = Outside(StopParams.model_validate({"max_steps": 9, "file": str(path)})).look(evaluated=False, about={})[
        "file"
    ]
    assert said is not None
    assert "\x1b" not in said
    assert len(said) <= 200


def test_a_command_stops_by_exit_code_zero_and_its_first_line_is_the_reason():
    one = command("import os; print('at step', os.environ['GRISTMILL_STEP']); print(2)")
    call(one, STEP="7")
    assert (one.has_answered, one.answer) == (True, "at step 7")


def test_a_command_that_fails_does_not_stop():
    one = command("raise SystemExit(1)")
    call(one)
    assert (one.has_answered, one.answer) == (True, None)


def test_a_command_that_says_nothing_still_has_a_reason():
    one = command("pass")
    call(one)
    assert one.answer == "ended with exit code 0"


def test_a_command_runs_beside_the_training_and_is_ended_after_its_time(caplog):
    one = command("import time; time.sleep(600)", timeout_s=0.001)
    one.poll(evaluated=True, about={})  # does not wait
    process = one._process
    assert process is not None
    while not one.has_answered:
        one.poll(evaluated=False, about={})
    assert process.returncode == -9
    assert one.answer is None
    assert "took longer than 0.001 s and was ended; it counts for nothing" in caplog.text


def test_a_command_under_way_ends_with_the_run():
    outside = Outside(
        StopParams.model_validate(
            {
                "max_steps": 9,
                "command": {"run": f"{PYTHON} -c 'import time; time.sleep(600)'", "every_evals": 1},
            }
        )
    )
    assert outside.look(evaluated=True, about={}) == {}
    process = outside._commands["command"]._process
    assert process is not None
    outside.close()
    assert process.returncode == -9


def test_a_command_is_called_every_so_many_evaluations():
    one = command("pass", every_evals=2)
    one.poll(evaluated=True, about={})
    assert one._process is None
    call(one)
    assert one.has_answered


def test_a_command_that_has_gone_is_told_once_and_stops_nothing(caplog):
    one = Command(CommandParams(run="/no/such/program", every_evals=1))
    for _ in range(3):
        one.poll(evaluated=True, about={})
    assert one.answer is None
    assert caplog.text.count("cannot be started") == 1


def test_files_and_commands_in_groups_answer_under_their_place(tmp_path: Path):
    inner = {"all": [{"not": {"file": str(tmp_path / "x")}}, {"max_steps": 3}], "max_steps": 9}
    assert Outside(StopParams.model_validate(inner)).look(evaluated=False, about={}) == {"all[0].not.file": None}
