"""Stop rules as a preset writes them."""

import pytest

from params.errors import ParameterError
from params.load import load_params, parse_assignments
from params.stop import StopParams
from params.train import TrainParams


def loaded(*assignments):
    return load_params("tiny", parse_assignments(assignments)).train.stop


def test_todays_keys_stay_valid_and_are_set_one_by_one():
    stop = loaded("train.stop.max_epochs=1", "train.stop.patience.evals=7", "train.stop.target_loss=2")
    assert (stop.max_epochs, stop.target_loss) == (1, 2)
    assert stop.patience is not None
    assert (stop.patience.evals, stop.patience.metric) == (7, "val_loss")


def test_groups_nest_to_any_depth_and_survive_a_round_trip():
    tree = {
        "max_steps": 9,
        "all": [{"not": {"any": [{"file": "x"}, {"patience": {"evals": 2}}]}, "after": {"steps": 5}}],
    }
    params = TrainParams.model_validate({"stop": tree})
    assert TrainParams.model_validate_json(params.model_dump_json()) == params
    assert TrainParams.model_validate(params.model_dump(mode="json")) == params
    assert "not" in params.model_dump(mode="json")["stop"]["all"][0]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.stop.paitence.evals=3", r"unknown key train\.stop\.paitence; did you mean patience\?"),
        ("train.stop.not.max_step=3", r"unknown key train\.stop\.not\.max_step; did you mean max_steps\?"),
        (
            "train.stop.all=[{not: {max_step: 3}}]",
            r"unknown key train\.stop\.all\.0\.not\.max_step; did you mean max_steps",
        ),
        ("train.stop.all=[]", "all of nothing: give it a list of rules, or null"),
        ("train.stop.not={}", "names no rule"),
        ("train.stop.any=[{after: {steps: 3}}]", "names no rule"),
        ("train.stop.after={}", "set at least one of steps, epochs, tokens, minutes, evals"),
        ("train.stop.after.steps=5", "after delays nothing here: max_steps are not subject to it"),
        ("train.stop.any=[{loss_spike: {}}]", "unknown key train.stop.any.0.loss_spike"),
        ("train.stop.metric={name: loss}", "set the bound by above or by below"),
        ("train.stop.metric={name: loss, above: 1, below: 2}", "set the bound by above or by below"),
        ("train.stop.metric={name: loss, above: .nan}", "finite"),
        ("train.stop.max_minutes=.inf", "finite"),
        ("train.stop.command={run: x, every_s: 1, every_evals: 1}", "every_s or every_evals"),
        ("train.stop.patience.evals=-1", r"train\.stop\.patience\.evals is -1; it must be greater than or equal to 1"),
    ],
)
def test_a_mistake_is_told_with_key_and_remedy(assignment, message):
    with pytest.raises(ParameterError, match=message):
        loaded(assignment)


@pytest.mark.parametrize(
    "stop",
    [
        {},
        {"target_loss": 1.0},
        {"not": {"max_steps": 3}},
        {"all": [{"max_steps": 3}, {"file": "x"}]},
        {"divergence": {}, "memorisation": {"max_gap": 1}},
    ],
)
def test_a_run_that_nothing_is_sure_to_end_is_refused(stop):
    with pytest.raises(ValueError, match=r"names no rule|max_steps, max_epochs, max_tokens, max_minutes, patience"):
        StopParams.model_validate(stop)


@pytest.mark.parametrize(
    "stop",
    [
        {"max_cost": {"limit": 3, "price_per_hour": 1}},
        {"plateau": {"evals": 5}},
        {"any": [{"target_loss": 1}, {"max_steps": 3}]},
        {"all": [{"max_steps": 3}, {"patience": {}}]},
    ],
)
def test_a_run_that_something_ends_is_accepted(stop):
    assert list(StopParams.model_validate(stop).rules()) == list(stop)
