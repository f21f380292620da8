"""Choosing tokens: expected values by hand."""

import math

import numpy as np
import pytest

from tasks.serving.sampling import Rule, Sampler, log_softmax, scored

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3]))


def test_temperature_zero_takes_the_likeliest():
    assert Sampler(Rule(temperature=0)).choose(LOGITS).token == 1
    assert Sampler(Rule(temperature=1e-300)).choose(LOGITS).token == 1


def test_a_frequency_penalty_counts_and_a_presence_penalty_does_not():
    # log .4 - log .3 = .288, log .4 - log .2 = .693: a penalty of .5 puts the second likeliest ahead, then the first
    sampler = Sampler(Rule(temperature=0, frequency_penalty=0.5))
    assert [sampler.choose(LOGITS).token for _ in range(4)] == [1, 3, 1, 2]
    sampler = Sampler(Rule(temperature=0, presence_penalty=0.5))
    # taken off once only, log .4 - .5 = -1.42 stays ahead of log .2 = -1.61
    assert [sampler.choose(LOGITS).token for _ in range(4)] == [1, 3, 1, 1]


def test_a_bias_of_a_hundred_forces_and_of_minus_a_hundred_forbids():
    assert Sampler(Rule(temperature=0, logit_bias={0: 100.0})).choose(LOGITS).token == 0
    assert Sampler(Rule(temperature=0, logit_bias={1: -100.0})).choose(LOGITS).token == 3


def test_probabilities_are_those_of_the_model_whatever_the_temperature_and_bias():
    made = Sampler(Rule(temperature=0, logit_bias={0: 100.0}, top_logprobs=2)).choose(LOGITS)
    assert made.logprob == pytest.approx(math.log(0.1))
    assert made.top == ((1, pytest.approx(math.log(0.4))), (3, pytest.approx(math.log(0.3))))


def test_no_probability_is_worked_out_that_nobody_asked_for():
    assert scored(1, LOGITS, None).logprob is None
    assert scored(1, LOGITS, 0).top == ()


def test_log_softmax_holds_for_huge_logits():
    np.testing.assert_allclose(
        log_softmax(np.array([1000.0, 1000.0, -1000.0])), [-math.log(2), -math.log(2), -2000.69], rtol=1e-4
    )
