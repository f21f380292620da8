"""why-stopped and replay on a finished run: 12 steps, evaluated at 6 and 12."""

import re

import pytest


@pytest.fixture
def run_id(finished) -> str:
    """The finished run: other tests leave newer ones."""
    return re.search(r"^Run (\S+)", finished.stdout, re.MULTILINE)[1]


def test_why_it_stopped_is_named_with_the_value_of_every_rule(run_id, shell):
    said = shell("why-stopped", run_id)
    assert said.returncode == 0, said.stderr
    assert re.search(r"ended after step 12 by max_steps \(budget\): 12 steps done", said.stdout)
    assert re.search(r"max_steps +│ fires +│ 12 +│ 12 +│ 12 ", said.stdout)
    assert re.search(r"non_finite +│ quiet", said.stdout)
    assert said.stderr == ""


def test_replay_says_when_another_rule_would_have_fired_and_what_later_training_gained(run_id, shell):
    said = shell("replay", run_id, "--set", "train.stop.target_loss=100")
    assert said.returncode == 0, said.stderr
    text = " ".join(said.stdout.split())
    assert re.search(r"step 6: target_loss would have ended it \(converged\): validation loss [\d.]+ reached 100", text)
    assert re.search(r"validation loss then [\d.]+, the 6 steps after it (gained|lost) \d\.\d{4}", text)
    assert "step 12: max_steps would have fired later (budget): 12 steps done" in text


def test_replay_of_a_rule_that_stays_quiet_says_how_far_it_was(run_id, shell):
    said = shell("replay", run_id, "--set", "train.stop.patience.evals=5")
    assert said.returncode == 0, said.stderr
    assert "patience: quiet, " in said.stdout


def test_replay_tells_of_mistakes_without_a_traceback(run_id, shell):
    for assignment, message in (
        ("train.seed=3", "replay changes train.stop only"),
        ("train.stop.patience.eval=5", "train.stop.patience.eval: Extra inputs are not permitted"),
        ("train.stop.any=[]", "train.stop: any of nothing"),
    ):
        said = shell("replay", run_id, "--set", assignment)
        assert said.returncode == 2
        assert message in said.stderr
        assert "Traceback" not in said.stderr
    said = shell("why-stopped", "x")
    assert said.returncode == 2
    assert "no run is named 'x'" in said.stderr
