"""Who becomes champion."""

from dataclasses import replace

from params.gate import ChampionParams
from tasks.evaluation.comparison import Comparison
from tasks.registry.promotion import champion_check, decide


def comparison(low: float) -> Comparison:
    return Comparison(gain=low + 0.01, low=low, confidence=0.95, probability=1.0, docs=9, new=1.2, champion=1.21 + low)


def promoted(low: float, **params) -> bool:
    return decide(4, 3, [], comparison(low), ChampionParams(**params)).promote


def test_the_first_model_becomes_champion():
    assert decide(1, None, [], None, ChampionParams()).promote


def test_better_means_that_the_lower_end_of_the_gain_is_above_the_margin():
    assert promoted(0.001)
    assert not promoted(0.0)
    assert not promoted(0.02, margin=0.02)
    assert promoted(0.021, margin=0.02)


def test_no_worse_means_that_the_lower_end_of_the_gain_is_within_the_margin():
    assert promoted(0.0, mode="no_worse")
    assert promoted(-0.02, mode="no_worse", margin=0.02)
    assert not promoted(-0.021, mode="no_worse", margin=0.02)


def test_a_decision_on_answers_names_the_figure_and_why_it_is_this_one():
    found = replace(comparison(0.02), figure="served.answers.bits_per_byte", why="training ended with conversations")
    told = "1.2000 bits per byte against 1.2300 (served.answers.bits_per_byte: training ended with conversations); with"
    assert told in decide(4, 3, [], found, ChampionParams()).text
    name = champion_check(3, found, ChampionParams()).name
    assert name == "lower end of the gain over champion version 3 in served.answers.bits_per_byte"


def test_a_failed_gate_is_named_and_never_promoted():
    decision = decide(1, None, ["verdict of training"], None, ChampionParams())
    assert not decision.promote
    assert decision.text == "version 1 is not promoted, its gate failed: verdict of training"


def test_no_gain_is_not_told_as_if_it_were_enough():
    told = decide(4, 3, [], comparison(0.0), ChampionParams())
    assert not told.promote
    assert told.text.endswith("the gain is at least +0.0000, asked for more than 0")
    kept = decide(4, 3, [], comparison(0.0), ChampionParams(mode="no_worse"))
    assert kept.promote
    assert kept.text.endswith("asked for at least 0")


def test_the_decision_tells_the_figures():
    text = decide(4, 3, [], comparison(0.02), ChampionParams(margin=0.05)).text
    assert text == (
        "version 4 stays challenger of champion version 3: 1.2000 bits per byte against 1.2300; with 95% confidence "
        "the gain is at least +0.0200, asked for more than +0.0500"
    )
