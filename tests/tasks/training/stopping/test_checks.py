"""What cannot work is told before training starts."""

import re
import shlex
import sys

import pytest

from params.errors import ParameterError
from params.stop import StopParams
from tasks.training.stopping.checks import LOGGED, Setting, check_stop

END = {"max_steps": 1000}


def checked(stop, **setting):
    values = {"tokens_per_step": 100, "steps_per_epoch": 50, "eval_every_steps": 10} | setting
    return check_stop(StopParams.model_validate(stop), Setting(**values))


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        (
            {"patience": {"metric": "val_los"}},
            r"train\.stop\.patience\.metric .*'val_los'.*never logs.*did you mean val_loss\?",
        ),
        ({**END, "any": [{"metric": {"name": "f1", "above": 1}}]}, r"train\.stop\.any\[0\]\.metric\.name .*'f1'"),
        ({"patience": {"metric": "loss", "min_z": 2}}, "'loss_se', which this run never logs"),
        ({"max_tokens": 99}, r"max_tokens is 99, but a step takes 100 tokens; raise it or lower train\.batch_blocks"),
        ({**END, "not": {"max_steps": 3}}, r"train\.stop\.not would fire at the first step"),
        ({**END, "not": {"patience": {}}}, r"train\.stop\.not would fire at the first step"),
        ({**END, "not": {"file": "nowhere"}}, r"train\.stop\.not would fire at the first step"),
        ({**END, "any": [{"not": {"max_minutes": 3}}]}, r"train\.stop\.any would fire at the first step"),
        (
            {**END, "all": [{"max_steps": 100}, {"not": {"max_tokens": 5000}}]},
            r"train\.stop\.all can never hold: its budgets exclude each other \(steps 50 and 100\)",
        ),
        (
            {**END, "all": [{"metric": {"name": "loss", "above": 3}}, {"metric": {"name": "loss", "below": 2}}]},
            "loss cannot be above 3 and below 2 at a time",
        ),
        ({**END, "command": {"run": "no-such-program --x"}}, "no program 'no-such-program' can be started here"),
        ({**END, "command": {"run": "say 'hello"}}, r"train\.stop\.command\.run .*not a command"),
    ],
)
def test_a_rule_that_can_never_work_is_refused_with_its_place(stop, message):
    with pytest.raises(ParameterError, match=message):
        checked(stop)


def test_a_target_above_what_an_untrained_model_has_would_fire_at_once():
    # ln 4096 = 8.32
    for stop in ({"target_loss": 9}, {"target_train_loss": {"loss": 9}}, {"metric": {"name": "val_loss", "below": 9}}):
        with pytest.raises(ParameterError, match=r"starts at 8\.32: it would fire at once; lower it"):
            checked(END | stop, initial_loss=8.32)
        assert checked(END | stop) == []


def test_a_file_that_is_there_already_is_refused_for_a_new_run_only(tmp_path):
    path = tmp_path / "停"
    path.write_text("enough")
    stop = END | {"file": str(path)}
    with pytest.raises(ParameterError, match=f"{re.escape(str(path))} is there already"):
        checked(stop)
    assert checked(stop, is_new=False) == []


def test_patience_longer_than_the_planned_evaluations_is_a_warning():
    assert checked({"max_steps": 60, "patience": {"evals": 5}}) == []
    (warning,) = checked({"max_epochs": 1, "patience": {"evals": 5}})
    assert warning == (
        "train.stop.patience cannot fire before step 60, but max_epochs ends the run at step 50: it is without effect"
    )


def test_a_grace_period_beyond_the_end_is_a_warning():
    (warning,) = checked({"max_steps": 60, "target_loss": 1, "after": {"evals": 7}})
    assert warning.startswith(
        "train.stop.target_loss cannot fire before step 70, but max_steps ends the run at step 60"
    )


def test_rules_that_can_work_pass():
    stop = {
        **END,
        "patience": {},
        "plateau": {"steps": 500, "metric": "loss"},
        "metric": {"name": "f1", "above": 0.9},
        "command": {"run": f"{shlex.quote(sys.executable)} -c pass"},
        "all": [{"max_steps": 100}, {"not": {"metric": {"name": "val_loss", "above": 3}}}],
        "any": [{"not": {"metric": {"name": "f1", "above": 0.1}}, "after": {"steps": 100}}],
        "loss_spike": {},
    }
    assert checked(stop, logged=LOGGED | {"f1"}) == []
