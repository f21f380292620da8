"""The ceiling of bench_train.py: what bf16 matrix products reach on this machine, and what a step needs."""

import time

import torch

from params.model import ModelParams
from tasks.model.shape import choose_shape

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
    shape = choose_shape(model, vocab_size=vocab_size, context=context)
    layer = 4 * shape.width**2 + 3 * shape.width * shape.ffn_width
    weights = shape.layers * layer + vocab_size * shape.width
    return blocks * context * (6 * weights + 12 * shape.layers * shape.width * context)
