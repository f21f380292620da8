"""Scaling laws, against the figures of their papers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.train import ModelParams
from tasks.estimation.parameters import count_parameters
from tasks.estimation.scaling import (
    effective_tokens,
    optimal_parameters,
    optimal_tokens,
    optimum_of_compute,
    resized,
    shape_of_size,
)
from tasks.estimation.shape import ModelShape

SHAPE = ModelShape.of(ModelParams(kv_heads=2), vocab_size=4096, context=256)


def test_chinchilla_is_optimal_with_its_own_tokens():
    """Hoffmann et al. (2022): 70 billion parameters, 1.4 trillion tokens."""
    assert optimal_tokens(70_000_000_000) == 1_400_000_000_000


def test_the_compute_of_gopher_is_best_spent_as_besiroglu_found():
    """Besiroglu et al. (2024), section 4: about 20 tokens a parameter at 5.76e23 operations."""
    best = optimum_of_compute(5.76e23)
    assert 6 * best.parameters * best.tokens == pytest.approx(5.76e23)
    assert 15 < best.tokens / best.parameters < 25
    assert best.parameters == pytest.approx(70e9, rel=0.1)


def test_four_passes_are_nearly_as_good_as_new_text_and_forty_are_not():
    """Equation 5 of Muennighoff et al. (2023) by hand: 1 + 15.387756 (1 - exp(-3 / 15.387756)) = 3.726."""
    assert effective_tokens(100, 4) == pytest.approx(372.6, abs=0.1)
    assert effective_tokens(100, 1) == 100
    assert effective_tokens(100, 0.5) == 50
    assert effective_tokens(100, 1000) == pytest.approx(100 * (1 + 15.387756))


@given(st.floats(0.01, 500), st.floats(0.01, 500))
def test_more_passes_are_worth_more_but_never_more_than_new_text(one, other):
    few, many = sorted((one, other))
    assert effective_tokens(1.0, few) <= effective_tokens(1.0, many) <= many * (1 + 1e-12)


def test_the_model_for_a_text_has_a_twentieth_of_its_tokens():
    assert optimal_parameters(20e9) == pytest.approx(3.726e9, rel=1e-3)


@given(st.integers(1_000_000, 10**12))
def test_a_model_of_a_size_is_the_nearest_of_the_ladder(size):
    found = shape_of_size(SHAPE, size)
    larger, smaller = (count_parameters(resized(SHAPE, max(1, found.layers + by))).total for by in (1, -1))
    assert smaller <= size * 2
    assert larger >= size / 2
    assert found.heads % found.kv_heads == 0
    assert found.width == found.heads * found.head_dim
