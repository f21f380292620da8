"""Phases, approval and orders, as a user gives them."""

import subprocess
from pathlib import Path

PHASES = "[{name: first, stop: {max_steps: 8}}, {name: second, approve: true, stop: {max_steps: 100000}}]"


def read_until(run: subprocess.Popen[str], words: str) -> str:
    """What a run says up to the line with these words."""
    assert run.stderr is not None
    said = ""
    for line in run.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


def test_a_phase_waits_for_approval_and_ends_when_asked(shell, corpus: Path):
    nobody = shell.here("steer", "save")
    assert nobody.returncode == 2
    assert "none; name one with --run" in nobody.stderr
    settings = ("--set", f"train.phases={PHASES}", "--set", "run.log_every_s=0.2")
    with shell.start(*shell.tiny(corpus, *settings)) as run:
        said = read_until(run, "train.second: waits for approval: gristmill approve second")
        assert "train.first: " in said
        assert "max_steps = 'few'" in shell.here("steer", "set", "stop.max_steps=few").stderr
        assert "phase second approved" in shell("approve", "second").stdout
        read_until(run, "train.second: step")
        assert shell.here("steer", "pause").returncode == 0
        read_until(run, 'somebody asked for {"do": "pause"}')
        assert shell.here("steer", "stop", "--reason", "enough").returncode == 0
        out, err = run.communicate(timeout=1800)
    assert run.returncode == 0, err
    assert "Training stopped: asked (enough)" in out


def test_a_run_goes_on_from_a_checkpoint_of_another(finished, shell):
    parent = next(line for line in finished.stdout.splitlines() if line.startswith("Run ")).split()[1]
    refused = shell.here("branch", parent, "--step", "5")
    assert refused.returncode == 2
    assert "no checkpoint of step 5" in refused.stderr
    done = shell("branch", parent, "--set", "train.stop.max_steps=16")
    assert done.returncode == 0, done.stderr
    assert "goes on from" in done.stderr
    assert "Training stopped: budget (16 steps done)" in done.stdout
