"""Muon and AdamW: updates against references, and the same updates after a resume."""

import numpy as np
import pytest
import torch

from params.optimizer import OptimizerParams
from params.train import ModelParams
from tasks.model.build import build_model
from tasks.training.batch import make_batch
from tasks.training.muon import _QUINTICS, Muon, orthogonalize
from tasks.training.objective import TokenLoss, arithmetic, make_objective
from tasks.training.optimizers import load_optimizer_tensors, make_optimizers, optimizer_tensors
from tasks.training.rates import Rates

CPU = torch.device("cpu")
RATES = Rates(0.02, 3e-3)


def make_model():
    params = ModelParams(layers=2, width=32, heads=2)
    return build_model(params, vocab_size=64, context=16, begin=0, end=0, padding=1, seed=5)


def learn(model, optimizers, steps, precision="fp32", momentum=None):
    """Some steps on blocks that depend on the step alone."""
    objective = make_objective(CPU, dtype=arithmetic(precision, CPU), compiled=False)
    loss_of = TokenLoss(model)
    for step in steps:
        blocks = np.random.default_rng(step).integers(2, 64, (2, 17))
        loss = objective(loss_of, make_batch(blocks, begin=0, padding=1, device=CPU)) / 32
        (loss * optimizers.loss_factor).backward()
        optimizers.unscale()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizers.step(1.0, norm, momentum=momentum)


def test_orthogonalized_matrices_have_the_singular_vectors_of_the_polar_factor():
    matrices = torch.randn((3, 8, 20), generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    for given, factor in ((matrices, u @ vh), (matrices.mT, (u @ vh).mT)):
        made = orthogonalize(given, 5).float()
        singular = torch.linalg.svdvals(made)
        assert singular.min() > 0.98  # bf16
        assert singular.max() < 1.02
        cosine = (made * factor).sum((-2, -1)) / (made.norm(dim=(-2, -1)) * factor.norm(dim=(-2, -1)))
        assert cosine.min() > 0.999


def test_two_steps_bring_singular_values_from_a_twentieth_of_their_norm_to_within_0_22_of_one():
    singular = torch.linspace(0.1, 1, 16)  # the fourth root of the sum of their fourth powers is 1.4
    u, v = (torch.linalg.qr(torch.randn((16, 16), generator=torch.Generator().manual_seed(seed)))[0] for seed in (1, 2))
    made = orthogonalize((u * singular @ v.T)[None], 2)[0].float()
    found = (u.T @ made @ v).diagonal()
    assert (found - 1).abs().max() < 0.218 + 0.03  # bf16
    assert (found - 1).abs().max() > 0.1


def test_no_quintics_chosen_one_after_the_other_come_closer_to_one():
    low, high = 0.05, 1.0
    for chosen in _QUINTICS:
        x = np.linspace(low, high, 2001)
        powers = np.stack([x, x**3, x**5], axis=1)
        deviation = np.abs(powers @ chosen - 1).max()
        # Chebyshev: a quintic is the closest where its error takes its largest size four times with changing signs
        errors = powers @ chosen - 1
        extremes = [0, *(np.flatnonzero(np.diff(np.sign(np.diff(errors)))) + 1), len(x) - 1]
        assert len(extremes) == 4
        np.testing.assert_allclose(np.abs(errors[extremes]), deviation, atol=5e-4)  # of four digits
        assert (np.diff(np.sign(errors[extremes])) != 0).all()
        low, high = 1 - deviation, 1 + deviation


def test_without_normalized_rows_muon_steps_as_that_of_torch():
    given = [torch.randn(shape, generator=torch.Generator().manual_seed(2)) for shape in ((24, 8), (24, 8), (8, 24))]
    mine, theirs = ([torch.nn.Parameter(g.clone()) for g in given] for _ in range(2))
    ours = Muon(mine, lr=0.05, weight_decay=0.1, momentum=0.9, newton_schulz_steps=6, row_beta=None)
    to_the_end = {"ns_coefficients": (15 / 8, -10 / 8, 3 / 8), "ns_steps": 25}  # the limit that both approach
    reference = torch.optim.Muon(theirs, lr=0.05, weight_decay=0.1, momentum=0.9, **to_the_end)
    for step in range(3):
        for index, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            gradient = torch.randn(a.shape, generator=torch.Generator().manual_seed(10 * step + index))
            a.grad, b.grad = gradient.clone(), gradient.clone()
        ours.step()
        reference.step()
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0.05 * 3 * 0.02)  # rounding of bf16 in three updates


def test_rows_are_normalized_by_their_running_mean_square_and_the_norm_stays():
    # the first update after zeros: v = (1 - b) mean(row^2), so that every row of the update has the same mean square
    weight = torch.nn.Parameter(torch.zeros(6, 4))
    weight.grad = torch.randn((6, 4), generator=torch.Generator().manual_seed(3))
    plain = orthogonalize(weight.grad[None], 5)[0].float()
    Muon([weight], lr=1.0, newton_schulz_steps=5, row_beta=0.95).step()
    update = -weight.detach() / (6 / 4) ** 0.5
    torch.testing.assert_close(update.norm(), plain.norm(), rtol=0.05, atol=0)  # bf16
    rows = update.square().mean(dim=1)
    torch.testing.assert_close(rows, rows.mean().expand(6), rtol=0.02, atol=0)
    torch.testing.assert_close(
        torch.nn.functional.cosine_similarity(update, plain, dim=1), torch.ones(6), rtol=0, atol=0.01
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_a_resumed_optimizer_goes_on_bit_by_bit(name, precision):
    params, rates = OptimizerParams(name=name), RATES if name == "muon" else Rates(None, 3e-3)
    dtype = arithmetic(precision, CPU)
    whole = make_model()
    undisturbed = make_optimizers(params, whole, rates, dtype=dtype)
    learn(whole, undisturbed, range(3), precision)
    saved = {key: value.clone() for key, value in optimizer_tensors(undisturbed).items()}
    weights = {key: value.clone() for key, value in whole.state_dict().items()}
    learn(whole, undisturbed, range(3, 6), precision)

    resumed = make_model()
    resumed.load_state_dict(weights)
    optimizers = make_optimizers(params, resumed, rates, dtype=dtype)
    load_optimizer_tensors(optimizers, saved)
    learn(resumed, optimizers, range(3, 6), precision)
    for mine, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert optimizers.scale == undisturbed.scale


def test_an_optimizer_whose_state_is_not_whole_is_refused():
    model = make_model()
    optimizers = make_optimizers(OptimizerParams(), model, RATES)
    learn(model, optimizers, range(1))
    tensors = optimizer_tensors(optimizers)
    lost = next(name for name in tensors if name.startswith("1.0."))
    with pytest.raises(KeyError):
        load_optimizer_tensors(optimizers, {name: t for name, t in tensors.items() if name[:4] != lost[:4]})


def test_an_overflow_of_fp16_leaves_every_weight_and_halves_the_scale():
    model = make_model()
    optimizers = make_optimizers(OptimizerParams(), model, RATES, dtype=torch.float16)
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.inf)
    factor = optimizers.loss_factor
    assert optimizers.overflowed(float("inf"))
    optimizers.step(1.0, float("inf"))
    assert optimizers.loss_factor == factor / 2
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_a_run_whose_every_step_overflowed_so_far_can_be_resumed():
    first, second = (make_optimizers(OptimizerParams(), make_model(), RATES, dtype=torch.float16) for _ in range(2))
    first.step(1.0, float("inf"))
    load_optimizer_tensors(second, optimizer_tensors(first))
    assert second.scale == first.scale


def test_in_float32_nothing_is_taken_for_an_overflow():
    assert not make_optimizers(OptimizerParams(), make_model(), RATES).overflowed(float("nan"))


def test_muon_has_the_hidden_matrices_and_frozen_parameters_are_nobodys():
    model = make_model()
    model.get_input_embeddings().weight.requires_grad_(False)
    adamw, muon = (optimizer for optimizer, _ in make_optimizers(OptimizerParams(), model, RATES).parts)
    matrices = list(muon.param_groups[0]["params"])
    assert len(matrices) == 2 * 7
    assert all(p.ndim == 2 for p in matrices)
    assert all(p.ndim == 1 for group in adamw.param_groups for p in group["params"])


def test_the_momentum_of_a_step_is_that_of_muon_alone():
    first, second = make_model(), make_model()
    lower = make_optimizers(OptimizerParams(), first, RATES)
    learn(first, lower, range(2))
    same = make_optimizers(OptimizerParams(momentum=0.85), second, RATES)
    learn(second, same, range(2))
    assert not torch.equal(*(model.model.layers[0].mlp.up_proj.weight for model in (first, second)))
    third = make_model()
    set_later = make_optimizers(OptimizerParams(), third, RATES)
    for optimizer, _ in set_later.parts:
        assert ("momentum" in optimizer.param_groups[0]) == isinstance(optimizer, Muon)
    learn(third, set_later, range(2), momentum=0.85)
    assert all(torch.equal(a, b) for a, b in zip(third.parameters(), second.parameters(), strict=True))
