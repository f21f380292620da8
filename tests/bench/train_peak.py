"""The ceiling of bench_train.py: what bf16 matrix products reach on this machine, and what a step needs."""

import time

import torch

from params.train import ModelParams
from tasks.model.shape import gated_ffn_width

SIZES = ((2048, 384, 1024), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 4096))
ROUNDS = 7


def matrix_peak(threads: int) -> float:
    """FLOP/s of the fastest of some bf16 products, each measured several times."""
    torch.set_num_threads(threads)
    return max(_rate(*size) for size in SIZES)


def _rate(rows: int, inner: int, columns: int) -> float:
    a, b = torch.randn(rows, inner, dtype=torch.bfloat16), torch.randn(inner, columns, dtype=torch.bfloat16)
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * rows * inner * columns / min(seconds)


def step_flops(model: ModelParams, blocks: int, context: int, vocab_size: int) -> float:
    """FLOPs of forward and backward pass of a step: 6 a weight of a product and token, 12 x layers x width x context a
    token for attention, as in PaLM (Chowdhery et al. 2022, appendix B); masked products count in full."""
    gated = 3 * model.width * (model.ffn_width or gated_ffn_width(model.width))
    weights = model.layers * (4 * model.width**2 + gated) + vocab_size * model.width
    return blocks * context * (6 * weights + 12 * model.layers * model.width * context)
