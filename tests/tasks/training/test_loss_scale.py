"""The scale of fp16's loss, against torch's own scaler."""

import math

import torch

from tasks.training.loss_scale import FIRST_SCALE, GROWTH_STEPS, LossScale


def test_the_scale_moves_as_that_of_torch():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    theirs = torch.amp.GradScaler("cpu")
    ours = LossScale()
    norms = [1.0] * 3 + [math.inf] * 2 + [1.0] * GROWTH_STEPS + [math.nan] + [1.0] * 5
    for norm in norms:
        assert ours.factor == theirs.get_scale()
        theirs.scale(torch.zeros(()))  # what makes torch's scaler begin
        weight.grad = torch.full((1,), norm)
        theirs.unscale_(optimizer)
        theirs.step(optimizer)
        theirs.update()
        ours = ours.after(norm)
    assert ours.factor == theirs.get_scale() == FIRST_SCALE / 4


def test_an_overflow_is_absorbed_until_the_scale_can_fall_no_further():
    scale, halvings = LossScale(), 0
    while scale.absorbs(math.inf):
        scale, halvings = scale.after(math.inf), halvings + 1
    assert (halvings, scale.factor) == (16, 1.0)  # 2 ** 16 halved sixteen times
    assert not LossScale().absorbs(3.0)
