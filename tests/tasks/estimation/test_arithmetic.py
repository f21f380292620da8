"""Operations by formula, against arithmetic by hand and against what torch counts."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from params.train import ModelParams
from tasks.estimation.arithmetic import muon_flops, token_flops
from tasks.estimation.shape import ModelShape
from tasks.model.build import build_model
from tasks.training.batch import make_batch
from tasks.training.objective import TokenLoss, make_objective


def shape_of(params: ModelParams, vocab_size: int, context: int) -> ModelShape:
    return ModelShape.of(params, vocab_size=vocab_size, context=context)


@pytest.mark.parametrize(("architecture", "kv_heads"), [("qwen3", 2), ("llama", None), ("gpt2", None)])
def test_operations_are_those_that_torch_counts_forward_and_backward(architecture, kv_heads):
    params = ModelParams(architecture=architecture, layers=2, width=64, heads=4, kv_heads=kv_heads)
    context, vocab_size, rows = 32, 300, 2
    model = build_model(params, vocab_size=vocab_size, context=context, begin=0, end=0, padding=1, seed=1)
    model.set_attn_implementation("eager")  # torch counts no operations of the fused kernel for processors
    blocks = np.random.default_rng(0).integers(2, vocab_size, (rows, context + 1))
    batch = make_batch(blocks, begin=0, padding=1, device=torch.device("cpu"))
    objective = make_objective(torch.device("cpu"), dtype=None, compiled=False)
    with FlopCounterMode(display=False) as counter:
        objective(TokenLoss(model), batch).backward()
    counted = counter.get_total_flops() / (rows * context)
    assert token_flops(shape_of(params, vocab_size, context)).total == pytest.approx(counted, rel=0.01)


def test_the_parts_add_up_by_hand():
    """width 4, one layer, 2 heads of 2, gated 8 wide: matrices 4 x 16 + 3 x 32 = 160; context 10; vocabulary 5."""
    params = ModelParams(architecture="llama", layers=1, width=4 * 2, heads=2, ffn_width=8)
    flops = token_flops(shape_of(params, 5, 10))
    assert flops.layers == 6 * (4 * 64 + 3 * 64)
    assert flops.attention == 12 * 1 * 8 * 10
    assert flops.logits == 6 * 5 * 8
    assert flops.executed(checkpointing=True) == flops.total + (flops.layers + flops.attention) / 3


def test_muon_costs_more_where_matrices_are_squarer():
    """One square matrix of GPT-2's four: 4 n^3 + 2 n^3; the fused one is 3 n wide, the two others 4 n."""
    params = ModelParams(architecture="gpt2", layers=1, width=16, heads=2)
    n = 16
    by_hand = 3 * ((4 * 3 + 2) + (4 + 2) + 2 * (4 * 4 + 2)) * n**3
    assert muon_flops(shape_of(params, 5, 10), newton_schulz_steps=3) == by_hand
