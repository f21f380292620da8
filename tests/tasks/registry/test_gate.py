"""The gate on made-up figures."""

import math

import pytest

from params.gate import GateParams, LimitParams
from params.release import ReleaseParams
from tasks.registry.gate import Evidence, gate_checks

QUALITY = {"int8": {"loss_increase": 0.01, "greedy_agreement": 0.8, "bytes": 5_000_000}}
FIGURES = {"test.bits_per_byte": 1.2, "served.bits_per_byte": 1.2, "served.loss_increase": 0.01}


def failed(gate=None, figures=None, **changes):
    found = {"verdict": "converged", "quality": QUALITY, "contaminated": {}, "decode_tokens_per_s": 900.0} | changes
    checks = gate_checks(ReleaseParams(gate=gate or GateParams()), Evidence(figures=FIGURES | (figures or {}), **found))
    return [check.name for check in checks if not check.passed]


def test_a_chat_model_is_judged_by_its_answers_in_place_of_the_text():
    answers = {"served.answers.bits_per_byte": 0.4, "served.answers.loss_increase": 0.01}
    worse = {"served.loss_increase": 9.0, "served.answers.loss_increase": 0.06}
    by = {"decisive": "served.answers.bits_per_byte"}
    assert failed(figures=answers | {"served.loss_increase": 9.0}, **by) == []
    assert failed(figures=answers | worse, **by) == ["served.answers.loss_increase over the trained model"]
    not_a_number = answers | {"served.answers.bits_per_byte": math.nan}
    assert failed(figures=not_a_number, **by) == ["served.answers.bits_per_byte"]


def test_a_classifier_must_beat_the_commonest_label_and_say_what_the_trained_model_says():
    section = "served.classification"
    figures = {f"{section}.accuracy": 0.9, f"{section}.agreement": 0.98, f"{section}.loss_increase": 0.01}
    by = {"decisive": f"{section}.accuracy"}
    better, no_better = ((f"{section}.over_majority_low", low, 0.0) for low in (0.01, 0.0))
    assert failed(figures=figures, above=[better], **by) == []
    assert failed(figures=figures, above=[no_better], **by) == [f"{section}.over_majority_low"]
    other = figures | {f"{section}.agreement": 0.97}
    assert failed(figures=other, **by) == [f"{section}.agreement with the trained model"]


def test_a_sound_model_passes():
    assert failed() == []


@pytest.mark.parametrize("verdict", ["budget", "asked", "converged"])
def test_every_verdict_but_broken_passes(verdict):
    assert failed(verdict=verdict) == []
    assert failed(verdict="broken") == ["verdict of training"]


def test_a_served_variant_that_is_missing_or_was_rejected_fails():
    assert "served variant" in failed(quality={})
    assert failed(quality={"int8": {"loss_increase": 0.01, "rejected": "too bad"}}) == ["served variant"]


def test_the_loss_may_rise_to_its_limit_but_no_further_over_the_graph_and_over_the_trained_model():
    gate = GateParams(max_loss_increase=0.01)
    assert failed(gate) == []
    assert failed(gate, quality={"int8": {"loss_increase": 0.0101}}) == ["loss over the fp32 graph"]
    over = {"served.loss_increase": 0.0101}
    assert failed(gate, figures=over) == ["served.loss_increase over the trained model"]


def test_any_figure_of_the_evaluation_can_have_limits():
    limits = {"test.bits_per_byte": LimitParams(min=0.5, max=1.2)}
    assert failed(GateParams(limits=limits)) == []
    for value in (0.49, 1.21, math.nan):
        assert failed(GateParams(limits=limits), figures={"test.bits_per_byte": value}) == ["test.bits_per_byte"]


def test_a_limit_on_a_figure_that_does_not_exist_fails_and_names_what_there_is():
    params = ReleaseParams(gate=GateParams(limits={"tests.bits_per_byte": LimitParams(max=9)}))
    found = Evidence("budget", FIGURES, QUALITY, {}, None)
    (check,) = (check for check in gate_checks(params, found) if not check.passed)
    assert check.limit == "at most 9 (no such figure; there is test.bits_per_byte, served.bits_per_byte)"


def test_greedy_agreement_size_and_speed_have_limits_of_their_own():
    assert failed(GateParams(min_greedy_agreement=0.8, max_size_mb=5.0, min_decode_tokens_per_s=900)) == []
    tight = GateParams(min_greedy_agreement=0.81, max_size_mb=4.9, min_decode_tokens_per_s=901)
    assert failed(tight) == [
        "greedy agreement with fp32", "megabytes of the served graph", "decoded tokens per second",
    ]  # fmt: skip


def test_each_contaminated_set_fails_by_name():
    assert failed(contaminated={"test": 0.05, "quiz": 0.06}) == ["contamination.quiz.share"]
    assert failed(GateParams(max_contaminated=0.06), contaminated={"quiz": 0.06}) == []
    assert failed(GateParams(max_contaminated=None), contaminated={"quiz": 1.0}) == []


def test_contamination_that_was_not_measured_is_not_taken_for_none():
    assert failed(contaminated=None) == ["contamination"]
    assert failed(GateParams(max_contaminated=None), contaminated=None) == []


def test_a_loss_that_is_no_number_fails():
    assert failed(figures={"served.bits_per_byte": math.nan}) == ["served.bits_per_byte"]
