"""The gate on made-up figures."""

import math

import pytest

from params.release import ReleaseParams
from tasks.registry.gate import gate_checks

QUALITY = {"fp32": {"loss_increase": 0.0}, "int8": {"loss_increase": 0.01}}


def failed(params=None, **changes):
    figures = {"verdict": "converged", "bits_per_byte": 1.2, "quality": QUALITY} | changes
    return [check.name for check in gate_checks(params or ReleaseParams(), **figures) if not check.passed]


def test_a_sound_model_passes():
    assert failed() == []


@pytest.mark.parametrize("verdict", ["budget", "asked", "converged"])
def test_every_verdict_but_broken_passes(verdict):
    assert failed(verdict=verdict) == []
    assert failed(verdict="broken") == ["verdict"]


def test_a_served_variant_that_is_missing_or_was_rejected_fails():
    assert "served variant" in failed(quality={"fp32": QUALITY["fp32"]})
    assert failed(quality={"int8": {"loss_increase": 0.01, "rejected": "too bad"}}) == ["served variant"]


def test_the_loss_increase_may_reach_its_limit_but_not_pass_it():
    params = ReleaseParams(max_loss_increase=0.01)
    assert failed(params) == []
    assert failed(params, quality={"int8": {"loss_increase": 0.0101}}) == ["loss increase of the served variant"]


def test_an_absolute_limit_counts_only_when_it_is_set():
    assert failed(bits_per_byte=9.0) == []
    assert failed(ReleaseParams(max_bits_per_byte=1.1)) == ["test bits per byte under the limit"]


def test_a_loss_that_is_no_number_fails():
    assert failed(bits_per_byte=math.nan) == ["test bits per byte"]
