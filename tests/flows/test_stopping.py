"""why-stopped and replay on a finished run: 12 steps, evaluated at 6 and 12."""

import argparse
import json
import re

import pytest

from flows.stopping import why_stopped
from tasks.artifacts.manifest import Metrics, Recipe, Timing


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
    said = shell.here("replay", run_id, "--set", "train.stop.patience.evals=5")
    assert said.returncode == 0, said.stderr
    assert "patience: quiet, " in said.stdout


def test_replay_tells_of_mistakes_without_a_traceback(run_id, shell):
    for assignment, message in (
        ("train.seed=3", "replay changes train.stop only"),
        ("train.stop.patience.eval=5", "unknown key train.stop.patience.eval; did you mean evals?"),
        ("train.stop.any=[]", "train.stop: any of nothing"),
    ):
        said = shell.here("replay", run_id, "--set", assignment)
        assert said.returncode == 2
        assert message in said.stderr
        assert "Traceback" not in said.stderr
    said = shell.here("why-stopped", "x")
    assert said.returncode == 2
    assert "no run is named 'x'" in said.stderr


def test_of_a_run_in_phases_the_last_training_is_told_and_while_one_is_under_way_that_one(seal, run, capsys, tmp_path):
    examples = seal("encode.chat", lambda out: None, Metrics(counts={"train_blocks": 7}))
    recipe = Recipe(stage="train.chat", version=1, params={}, inputs={"shards": examples.reference()})
    draft = run.store.draft(recipe, {})
    record = run.record.with_stage(examples, reused=False, wall_s=1.0)
    record.save(run.store.root)
    asked = argparse.Namespace(home=tmp_path, run=None)
    assert why_stopped(asked) == 0
    assert "training has not ended, or broke off" in capsys.readouterr().out
    stop = {"steps": 3, "rule": "max_steps", "verdict": "budget", "reason": "3 steps done"}
    (draft / "stop.json").write_text(json.dumps(stop))
    with run.store.lock(recipe):
        made = run.store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={}, volatile=())
    record.with_stage(made, reused=False, wall_s=1.0).ended("completed").save(run.store.root)
    assert why_stopped(asked) == 0
    assert "ended after step 3 by max_steps (budget): 3 steps done" in capsys.readouterr().out
