"""The loss of a model: whole and in chunks, in every precision, with activations kept or not."""

import numpy as np
import pytest
import torch

from params.train import ModelParams
from tasks.model.build import build_model
from tasks.training.batch import Batch, make_batch
from tasks.training.objective import (
    TokenLoss,
    arithmetic,
    checkpoint_activations,
    has_bf16,
    make_objective,
    precision_name,
    token_losses,
)

CPU = torch.device("cpu")
VOCAB, CONTEXT = 160, 16


def make_model(**changes):
    params = ModelParams(**{"layers": 2, "width": 32, "heads": 2} | changes)
    model = build_model(params, vocab_size=VOCAB, context=CONTEXT, begin=0, end=0, padding=1, seed=2)
    with torch.no_grad():
        for parameter in model.parameters():  # zero output projections would hide the blocks
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def make_blocks(rows: int = 3) -> Batch:
    blocks = np.random.default_rng(4).integers(2, VOCAB, (rows, CONTEXT + 1))
    blocks[:, 5], blocks[:, -3:] = 0, 1  # documents that begin, and padding
    return make_batch(blocks, begin=0, padding=1, device=CPU)


def loss_and_gradients(model, loss_module, batch, dtype=None, factor=1.0):
    model.zero_grad(set_to_none=True)
    loss = make_objective(CPU, dtype=dtype, compiled=False)(loss_module, batch)
    (loss * factor).backward()
    return loss.detach(), [p.grad / factor for p in model.parameters()]


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_the_loss_in_chunks_is_the_sum_of_token_losses_and_has_its_gradient(architecture, tie_embeddings):
    model, batch = make_model(architecture=architecture, tie_embeddings=tie_embeddings), make_blocks()
    token_losses(model, batch).sum().backward()
    expected_loss, expected = token_losses(model, batch).sum().detach(), [p.grad for p in model.parameters()]
    for logits_bytes in (1 << 28, 7 * 4 * VOCAB, 1):  # whole; chunks of seven tokens, the last one shorter; of one
        loss, gradients = loss_and_gradients(model, TokenLoss(model, logits_bytes=logits_bytes), batch)
        torch.testing.assert_close(loss, expected_loss)
        torch.testing.assert_close(gradients, expected)


def test_in_chunks_no_tensor_of_all_logits_is_kept_for_the_backward_pass():
    model, batch = make_model(), make_blocks()
    saved = []

    def note(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        TokenLoss(model, logits_bytes=4 * 4 * VOCAB)(batch.inputs, batch.targets, batch.positions, batch.mask)
    assert max(saved) < batch.targets.numel() * VOCAB


def test_an_architecture_that_reshapes_its_logits_is_never_cut_into_chunks():
    model, batch = make_model(), make_blocks()
    model.config.final_logit_softcapping = 30.0
    loss, _ = loss_and_gradients(model, TokenLoss(model, logits_bytes=1), batch)
    torch.testing.assert_close(loss, token_losses(model, batch).sum().detach(), rtol=0, atol=0)


def test_activations_computed_again_give_the_same_gradients():
    model, batch = make_model(), make_blocks()
    model.train()
    loss, gradients = loss_and_gradients(model, TokenLoss(model), batch)
    checkpoint_activations(model)
    again, recomputed = loss_and_gradients(model, TokenLoss(model), batch)
    assert again == loss
    torch.testing.assert_close(recomputed, gradients)


@pytest.mark.parametrize(("dtype", "factor"), [(torch.bfloat16, 1.0), (torch.float16, 1024.0)])
def test_half_precision_is_near_float32(dtype, factor):
    model, batch = make_model(), make_blocks()
    exact, _ = loss_and_gradients(model, TokenLoss(model), batch)
    for logits_bytes in (1 << 28, 7 * 4 * VOCAB):
        loss, gradients = loss_and_gradients(model, TokenLoss(model, logits_bytes=logits_bytes), batch, dtype, factor)
        torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
        assert all(g.isfinite().all() for g in gradients)


def test_the_arithmetic_is_what_was_asked_for_and_auto_what_the_processor_has():
    assert arithmetic("fp32", CPU) is None
    assert arithmetic("fp16", CPU) == torch.float16
    assert arithmetic("bf16", CPU) == torch.bfloat16
    assert arithmetic("auto", CPU) == (torch.bfloat16 if has_bf16(CPU) else None)
    assert [precision_name(arithmetic(name, CPU)) for name in ("fp32", "fp16", "bf16")] == ["fp32", "fp16", "bf16"]
