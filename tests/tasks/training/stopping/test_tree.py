"""any, all, not and after."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.stop import StopParams
from tasks.training.stopping.judging import judge_all
from tasks.training.stopping.making import make_rules
from tasks.training.stopping.observation import Observation
from tasks.training.stopping.tree import Group

TRUTHS = [True, False, None]


def accuracy(step, acc=None, val_loss=None, **more):
    metrics = {} if acc is None else {"acc": acc}
    return Observation(step, 1.0, 1.0, val_loss, 0.0, 0.0, metrics=metrics, **more)


HIGH, LOW = {"metric": {"name": "acc", "above": 0.9}}, {"metric": {"name": "acc", "below": 0.1}}
END = {"max_steps": 1000}


def joined(kind, *known):
    return Group("", kind, ()).join(list(known))


def negated(known):
    return joined("not", known)


@pytest.mark.parametrize(("a", "b"), [*product(TRUTHS, TRUTHS)])
def test_de_morgan_and_commutation_hold_with_unknowns(a, b):
    assert negated(joined("any", a, b)) == joined("all", negated(a), negated(b))
    assert negated(joined("all", a, b)) == joined("any", negated(a), negated(b))
    assert joined("any", a, b) == joined("any", b, a)
    assert negated(negated(a)) == a


@given(st.lists(st.sampled_from(TRUTHS), min_size=1, max_size=6), st.integers(1, 6))
def test_groups_are_associative_and_fire_as_python_does_where_all_is_known(known, cut):
    head, tail = known[:cut], known[cut:]
    for kind, plain in (("any", any), ("all", all)):
        split = joined(kind, joined(kind, *head), *tail)
        assert split == joined(kind, *known)
        if None not in known:
            assert joined(kind, *known) == plain(known)


def test_any_names_the_rule_that_fired(fired):
    stop = {**END, "any": [HIGH, LOW]}
    assert fired(stop, [accuracy(1, 0.5), accuracy(2, 0.95), accuracy(3, 0.05)]) == [
        [],
        ["any[0].metric"],
        ["any[1].metric"],
    ]


def test_all_joins_rules_that_are_read_at_different_steps(fired):
    # the accuracy is measured at step 2 only, the budget is over at step 3: the last reading stands
    stop = {**END, "all": [HIGH, {"max_steps": 3}]}
    assert fired(stop, [accuracy(1), accuracy(2, 0.95), accuracy(3), accuracy(4, 0.5)]) == [[], [], ["all"], []]


def test_all_says_what_each_of_its_rules_measured():
    rules = make_rules(
        StopParams.model_validate({**END, "all": [HIGH, {"max_steps": 1}]}), tokens_per_step=1, steps_per_epoch=1
    )
    (decision,) = judge_all(rules, accuracy(1, 0.95), {})[1]
    assert decision.reason == "all[0].metric: acc 0.95 is above 0.9; all[1].max_steps: 1 steps done"
    assert decision.verdict == "converged"  # the weightiest
    assert decision.anneals is False  # a target needs no decay


def test_not_of_what_nobody_has_read_does_not_fire(fired):
    stop = {**END, "not": HIGH}
    assert fired(stop, [accuracy(1), accuracy(2, 0.95), accuracy(3), accuracy(4, 0.5)]) == [[], [], [], ["not"]]


def test_groups_nest_to_any_depth(fired):
    stop = {**END, "all": [{"not": {"any": [{"all": [HIGH, {"not": LOW}]}]}}, {"max_steps": 2}]}
    assert fired(stop, [accuracy(1, 0.95), accuracy(2), accuracy(3, 0.5)]) == [[], [], ["all"]]


def test_a_mapping_inside_a_group_is_any_of_its_rules(fired):
    stop = {**END, "all": [{**HIGH, "max_steps": 2}]}
    assert fired(stop, [accuracy(1, 0.5), accuracy(2, 0.5)]) == [[], ["all"]]


def losses(values, **more):
    return [accuracy(i, val_loss=value, **more) for i, value in enumerate(values, 1)]


def test_in_its_grace_period_a_rule_is_watched_but_does_not_fire(fired):
    # no gain from the second evaluation on: patience 2 would fire at the third; the grace ends with the fifth step
    stop = {**END, "patience": {"evals": 2}, "after": {"steps": 5}}
    assert fired(stop, losses([3.0] * 6)) == [[], [], [], [], ["patience"], ["patience"]]
    # what was learned in the grace period counts: a best of 1.0 then is not beaten by 2.0 later
    assert fired(stop, losses([1.0, 3.0, 3.0, 3.0, 2.0]))[-1] == ["patience"]


def test_a_grace_period_waits_for_everything_in_it(fired):
    stop = {**END, "patience": {"evals": 1}, "after": {"evals": 2, "tokens": 100, "minutes": 1, "epochs": 0.5}}
    base = {"tokens": 100, "epochs": 0.5, "elapsed_s": 60.0}
    for late in ({"tokens": 99}, {"epochs": 0.4}, {"elapsed_s": 59.0}):
        values = base | late
        seen = [
            Observation(i, 1.0, 1.0, 3.0, values["elapsed_s"], 0.0, values["tokens"], values["epochs"], i)
            for i in (1, 2)
        ]
        assert fired(stop, seen) == [[], []]
    seen = [Observation(i, 1.0, 1.0, 3.0, 60.0, 0.0, 100, 0.5, i) for i in (1, 2)]
    assert fired(stop, seen) == [[], ["patience"]]


def test_a_guard_that_is_asked_before_every_update_knows_of_the_evaluations_too(fired):
    stop = {**END, "loss_spike": {"window": 20}, "after": {"evals": 2}}
    calm = [accuracy(i, evals=i // 20) for i in range(1, 40)]
    spike = Observation(40, 9.0, 1.0, None, 0.0, 0.0, evals=1)
    assert fired(stop, [*calm, spike])[-1] == []
    assert fired(stop, [*calm, replace(spike, evals=2)])[-1] == ["loss_spike"]


def test_grace_holds_for_the_groups_in_its_mapping_and_nowhere_else(fired):
    stop = {**END, "any": [{"not": HIGH, "after": {"steps": 3}}, LOW]}
    assert fired(stop, [accuracy(1, 0.5), accuracy(2, 0.05), accuracy(3, 0.5)]) == [
        [],
        ["any[1].metric"],
        ["any[0].not"],
    ]


def test_a_budget_and_a_request_are_not_delayed_by_grace(fired):
    stop = {"max_steps": 2, "file": "stop", "patience": {}, "after": {"steps": 100}}
    assert fired(stop, [accuracy(1, outside={"file": "enough"}), accuracy(2)]) == [["file"], ["file", "max_steps"]]
