"""All rules together: what wins, what is named, what is kept."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.stop import StopParams
from tasks.training.stopping.judging import after_rewind, carry_over, identity_of, judge_all, lasting, nearest
from tasks.training.stopping.making import make_rules
from tasks.training.stopping.observation import Observation, StopDecision, weightiest

EVERYTHING = {
    "max_steps": 60,
    "max_minutes": 50,
    "max_cost": {"limit": 99, "price_per_hour": 2},
    "patience": {"evals": 3, "min_delta": 0.1},
    "plateau": {"metric": "loss", "steps": 20, "min_gain": 0.01},
    "target_loss": 0.5,
    "target_train_loss": {"loss": 0.5, "smoothing_steps": 5},
    "metric": {"name": "acc", "above": 0.9, "in_a_row": 2},
    "gradient_noise": {"steps": 20},
    "no_change": {"rate": 1e-6, "steps": 3},
    "memorisation": {"max_gap": 3, "evals": 2},
    "divergence": {"window": 20, "steps": 5},
    "loss_spike": {"window": 20},
    "any": [{"patience": {"evals": 2}, "after": {"evals": 2}}],
    "all": [{"max_steps": 20}, {"not": {"metric": {"name": "acc", "below": 0.2}}}],
}


def rules_of(stop):
    return make_rules(StopParams.model_validate(stop), tokens_per_step=10, steps_per_epoch=100)


def judged(rules, observations, states=None):
    states, fired = states or {}, []
    for one in observations:
        states, decisions = judge_all(rules, one, states)
        fired.append([decision.rule for decision in decisions])
    return states, fired


sequences = st.lists(
    st.tuples(
        st.floats(allow_nan=True, allow_infinity=True, width=16) | st.floats(0, 5),
        st.none() | st.floats(0, 5) | st.just(math.nan),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=60,
)


def observations_of(sequence):
    return [
        Observation(
            i,
            loss,
            abs(loss),
            val_loss,
            60.0 * i,
            0.0,
            10 * i,
            i / 100,
            i // 9,
            {"acc": acc, "update_ratio": acc / 1e5},
        )
        for i, (loss, val_loss, acc) in enumerate(sequence, 1)
    ]


@given(sequences, st.integers(0, 60))
def test_a_sequence_saved_and_restored_at_any_step_is_judged_the_same(sequence, cut):
    rules, seen = rules_of(EVERYTHING), observations_of(sequence)
    _, whole = judged(rules, seen)
    states, first = judged(rules, seen[:cut])
    saved = json.dumps(lasting(rules, states) if states else {}, allow_nan=False)
    _, second = judged(rules_of(EVERYTHING), seen[cut:], carry_over(rules_of(EVERYTHING), json.loads(saved)))
    assert first + second == whole


@given(sequences)
def test_what_a_checkpoint_keeps_does_not_depend_on_the_clock(sequence):
    rules, seen = rules_of(EVERYTHING), observations_of(sequence)
    slower = [Observation(**{**vars(one), "elapsed_s": 7 * one.elapsed_s}) for one in seen]
    assert lasting(rules, judged(rules, seen)[0]) == lasting(rules, judged(rules, slower)[0])


def test_a_broken_run_outranks_a_reached_target_and_all_are_named(seen):
    rules = rules_of({"max_steps": 1, "target_loss": 9.0})
    for loss in (math.nan, math.inf):
        _, fired = judge_all(rules, seen(loss=loss, val_loss=1.0), {})
        assert [decision.verdict for decision in fired] == ["broken", "converged", "budget"]
    decision = weightiest(fired)
    assert decision is not None
    assert decision.rule == "non_finite"
    assert decision.also == "target_loss: validation loss 1.0000 reached 9; max_steps: 1 steps done"


def test_broken_outranks_rewind_and_skip_and_these_outrank_success():
    fired = [
        StopDecision("max_steps", "budget", ""),
        StopDecision("patience", "converged", ""),
        StopDecision("file", "asked", ""),
        StopDecision("loss_spike", "broken", "", action="skip_step"),
        StopDecision("loss_spike", "broken", "", action="rewind"),
        StopDecision("divergence", "broken", ""),
    ]
    order = []
    while fired:
        first = weightiest(fired)
        order.append((first.rule, first.action))
        fired = [one for one in fired if (one.rule, one.action) != order[-1]]
    assert order == [
        ("divergence", "stop"),
        ("loss_spike", "rewind"),
        ("loss_spike", "skip_step"),
        ("file", "stop"),
        ("patience", "stop"),
        ("max_steps", "stop"),
    ]


def evaluations(losses, begin=1):
    return [Observation(i, 1.0, 1.0, loss, 0.0, 0.0) for i, loss in enumerate(losses, begin)]


def test_a_new_patience_is_not_overwritten_by_the_restored_state():
    # Lightning: restoring state brings the old patience back.
    states, fired = judged(rules_of({"patience": {"evals": 2}}), evaluations([3.0, 3.1, 3.2]))
    assert fired[-1] == ["patience"]
    longer = rules_of({"patience": {"evals": 4}})
    _, fired = judged(longer, evaluations([3.3, 3.4], begin=4), carry_over(longer, states))
    assert fired == [[], ["patience"]]  # it goes on counting from 2


def test_the_counter_is_not_lost_on_resume():
    # Trainer: unless asked for, the counter starts anew.
    states, _ = judged(rules_of({"patience": {"evals": 3}}), evaluations([3.0, 3.1, 3.2]))
    rules = rules_of({"patience": {"evals": 3}})
    _, fired = judged(rules, evaluations([3.3], begin=4), carry_over(rules, states))
    assert fired == [["patience"]]


def test_a_run_that_stopped_stays_stopped_unless_the_rules_changed():
    stop = {"patience": {"evals": 2}, "max_steps": 10}
    states, _ = judged(rules_of(stop), evaluations([3.0, 3.1, 3.2]))
    same, changed = rules_of(stop), rules_of({**stop, "patience": {"evals": 4}})
    assert identity_of(same) == identity_of(rules_of(stop))
    assert identity_of(changed) != identity_of(same)
    nothing_new = [Observation(4, 1.0, 1.0, None, 0.0, 0.0)]
    assert judged(same, nothing_new, carry_over(same, states))[1] == [["patience"]]
    assert judged(changed, nothing_new, carry_over(changed, states))[1] == [[]]


def test_a_rule_that_moves_into_a_group_takes_its_memory_along():
    states, _ = judged(rules_of({"patience": {"evals": 2}}), evaluations([3.0, 3.1]))
    moved = rules_of({"max_steps": 99, "any": [{"patience": {"evals": 2}}]})
    assert judged(moved, evaluations([3.2], begin=3), carry_over(moved, states))[1] == [["any[0].patience"]]


def test_a_rule_on_another_metric_begins_anew():
    states, _ = judged(rules_of({"patience": {"evals": 2}}), evaluations([3.0, 3.1]))
    other = rules_of({"patience": {"evals": 2, "metric": "grad_norm"}})
    assert carry_over(other, states).keys() == {"non_finite"}


def test_a_rewind_forgets_the_losses_but_not_the_spikes():
    rules = rules_of({"max_steps": 999, "loss_spike": {"window": 20, "max_times": 1, "action": "rewind"}})
    calm = [Observation(i, 3.0, 1.0, None, 0.0, 0.0) for i in range(1, 31)]
    checkpoint, _ = judged(rules, calm[:25])
    current, fired = judged(rules, [*calm[25:], Observation(31, 9.0, 1.0, None, 0.0, 0.0)], checkpoint)
    assert fired[-1] == ["loss_spike"]
    back = after_rewind(checkpoint, current)
    assert back["loss_spike"]["memory"]["spikes"] == [31]
    assert back["loss_spike"]["memory"]["losses"] == checkpoint["loss_spike"]["memory"]["losses"]
    _, decisions = judge_all(rules, Observation(32, 9.0, 1.0, None, 0.0, 0.0), back)
    assert [decision.action for decision in decisions] == ["stop"]
    assert after_rewind({}, current)["loss_spike"]["memory"] == {"spikes": [31]}  # back to the very start


def test_the_nearest_budget_is_what_is_left():
    rules = rules_of({"max_steps": 100, "max_minutes": 10, "patience": {"evals": 2}})
    states, _ = judged(rules, [Observation(40, 1.0, 1.0, 3.0, 60.0, 0.0)])
    # 60 steps of 2 s are 120 s; 540 s are left of the minutes; patience may fire in 2 evaluations of 10 steps
    left = nearest(rules, states, step_s=2.0, steps_per_eval=10)
    assert left is not None
    assert (left.rule, left.seconds, left.fraction, left.is_certain) == ("max_steps", 120.0, 0.4, True)


def test_without_a_budget_the_earliest_end_is_told_as_uncertain():
    rules = rules_of({"patience": {"evals": 2}})
    states, _ = judged(rules, evaluations([3.0, 3.1]))
    left = nearest(rules, states, step_s=2.0, steps_per_eval=10)
    assert left is not None
    assert (left.rule, left.seconds, left.is_certain) == ("patience", 20.0, False)


@pytest.mark.parametrize(
    "stop", [{"target_loss": 1.0}, {"not": {"max_steps": 3}}, {"all": [{"max_steps": 3}, {"file": "x"}]}]
)
def test_a_run_without_any_limit_is_refused(stop):
    with pytest.raises(ValueError, match="max_steps, max_epochs, max_tokens, max_minutes, patience"):
        StopParams.model_validate(stop)
