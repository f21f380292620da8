"""Learning rates chosen by size, against published ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.optimizer import OptimizerParams
from tasks.training.rates import Rates, choose_rates

ADAMW, MUON = OptimizerParams(name="adamw"), OptimizerParams()


@pytest.mark.parametrize(("width", "published"), [(768, 6e-4), (1536, 2.5e-4), (2048, 2e-4), (4096, 1.2e-4)])
def test_adamw_alone_has_about_the_rates_of_gpt_3(width, published):
    # Brown et al. 2020, table 2.1: 125M, 760M, 1.3B and 6.7B parameters
    chosen = choose_rates(ADAMW, width=width, batch_tokens=1 << 19)
    assert chosen.muon is None
    assert published / 1.6 < chosen.adamw < published * 1.6


def test_muons_rate_serves_every_width_and_the_one_beside_it_falls_with_the_root():
    narrow, wide = (choose_rates(MUON, width=width, batch_tokens=4096) for width in (256, 1024))
    assert narrow.muon == wide.muon == 0.012
    assert narrow.adamw / wide.adamw == pytest.approx(2, rel=0.05)


def test_what_is_set_is_taken_as_it_is():
    params = OptimizerParams(muon_lr=0.0123, lr=0.00456)
    assert choose_rates(params, width=64, batch_tokens=64, start="weights") == Rates(0.0123, 0.00456)
    assert choose_rates(OptimizerParams(muon_lr=0.0123), width=384, batch_tokens=2048) == Rates(0.0123, 0.025)


def test_a_quarter_of_the_batch_halves_the_rates():
    assert choose_rates(MUON, width=384, batch_tokens=512) == Rates(0.006, 0.013)


def test_trained_weights_learn_at_a_tenth_and_adapters_at_the_full_rate_with_adamw():
    assert choose_rates(MUON, width=384, batch_tokens=4096, start="weights") == Rates(0.0012, 0.0025)
    assert choose_rates(MUON, width=384, batch_tokens=4096, start="adapters") == Rates(None, 1.5e-3)


@given(st.sampled_from([ADAMW, MUON]), st.integers(8, 20_000), st.integers(1, 1 << 24))
def test_a_wider_model_or_a_smaller_batch_never_learns_faster(params, width, tokens):
    here = choose_rates(params, width=width, batch_tokens=tokens)
    for other in (
        choose_rates(params, width=2 * width, batch_tokens=tokens),
        choose_rates(params, width=width, batch_tokens=max(1, tokens // 2)),
    ):
        assert 0 < other.adamw <= here.adamw
        assert (other.muon or 0) <= (here.muon or 0)
