"""Memory by formula, against the tensors that autograd and optimizers really keep."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from params.train import ModelParams, OptimizerParams
from tasks.estimation.layout import Layout
from tasks.estimation.memory import activation_bytes, layer_activation_bytes, memory_parts, optimizer_bytes
from tasks.estimation.parameters import count_parameters
from tasks.estimation.shape import ModelShape
from tasks.model.build import build_model
from tasks.training.batch import make_batch
from tasks.training.objective import TokenLoss, make_objective
from tasks.training.optimizers import make_optimizers, optimizer_tensors
from tasks.training.rates import Rates

VOCAB, CONTEXT, ROWS = 300, 64, 2
CPU = torch.device("cpu")
LARGE = ModelShape.of(ModelParams(layers=24, width=2048, heads=16), vocab_size=32_000, context=2048)


def kept_bytes(params: ModelParams, *, bf16: bool) -> int:
    """Bytes of what autograd keeps for the way back, weights and their 16-bit copies left out."""
    model = build_model(params, vocab_size=VOCAB, context=CONTEXT, begin=0, end=0, padding=1, seed=1)
    blocks = np.random.default_rng(0).integers(2, VOCAB, (ROWS, CONTEXT + 1))
    blocks[:, 0] = 0
    batch = make_batch(blocks, begin=0, padding=1, device=CPU)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters()} | {tuple(p.T.shape) for p in model.parameters() if p.ndim > 1}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        make_objective(CPU, dtype=torch.bfloat16 if bf16 else None, compiled=False)(TokenLoss(model), batch)
    return sum(kept.values())


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("architecture", "kv_heads"), [("qwen3", None), ("qwen3", 2), ("llama", 2), ("gpt2", None)])
def test_a_layer_keeps_what_the_formula_says(architecture, kv_heads, bf16):
    few = ModelParams(architecture=architecture, layers=1, width=96, heads=4, kv_heads=kv_heads, ffn_width=160)
    more = few.model_copy(update={"layers": 3})
    measured = (kept_bytes(more, bf16=bf16) - kept_bytes(few, bf16=bf16)) / 2 / (ROWS * CONTEXT)
    shape = ModelShape.of(few, vocab_size=VOCAB, context=CONTEXT)
    assert layer_activation_bytes(shape, half=bf16) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_the_optimizer_keeps_what_the_formula_says(name):
    params = ModelParams(layers=2, width=64, heads=2)
    model = build_model(params, vocab_size=VOCAB, context=CONTEXT, begin=0, end=0, padding=1, seed=1)
    optimizers = make_optimizers(OptimizerParams(name=name), model, Rates(0.02 if name == "muon" else None, 0.003))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(1.0, 1.0)
    measured = sum(t.nbytes for t in optimizer_tensors(optimizers).values() if t.ndim)
    shape = ModelShape.of(params, vocab_size=VOCAB, context=CONTEXT)
    assert optimizer_bytes(shape, muon=name == "muon") == measured == optimizers.state_bytes


def test_zero_shares_out_as_its_paper_says():
    """Rajbhandari et al. (2020), figure 1, with float32 gradients: 16 bytes a parameter over 64 devices."""
    num = count_parameters(LARGE).total
    whole = Layout(micro_blocks=1, eval_rows=1, devices=64, muon=False, on_gpu=True)
    sizes = {}
    for strategy in ("ddp", "zero1", "zero2", "zero3"):
        parts = memory_parts(LARGE, replace(whole, strategy=strategy))
        sizes[strategy] = (parts.weights + parts.gradients + parts.optimizer) / num
    assert sizes == pytest.approx({"ddp": 16, "zero1": 8 + 8 / 64, "zero2": 4 + 12 / 64, "zero3": 16 / 64}, rel=1e-6)


def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer():
    plain = Layout(micro_blocks=4, eval_rows=1)
    tokens, width = 4 * 2048, 2048
    kept = activation_bytes(LARGE, replace(plain, checkpointing=True))
    layer = layer_activation_bytes(LARGE, half=True)
    assert kept == tokens * (24 * 4 * width + layer + 3 * 4 * width)
    assert activation_bytes(LARGE, plain) == tokens * (24 * layer + 3 * 4 * width)


def test_the_training_process_took_what_is_predicted():
    """Resident MiB of the training process on two Zen 5 cores: 6 layers of 384, vocabulary 4,096, context 256."""
    shape = ModelShape.of(ModelParams(layers=6, width=384, heads=6), vocab_size=4096, context=256)
    for blocks, compiled, half, measured in (
        (8, False, True, 1247),
        (8, False, False, 1412),
        (32, False, True, 2914),
        (8, True, True, 1058),
        (32, True, True, 1829),
    ):
        parts = memory_parts(shape, Layout(micro_blocks=blocks, eval_rows=1, half=half, compiled=compiled))
        assert parts.total / (1 << 20) == pytest.approx(measured, rel=0.05)


def test_parts_add_up_and_the_largest_comes_first():
    parts = memory_parts(LARGE, Layout(micro_blocks=16, eval_rows=1))
    assert parts.total == sum(parts.by_size.values())
    assert next(iter(parts.by_size)) == "activations"
