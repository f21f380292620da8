"""GPTQ: rounding weights one input after the other, each error made good by the weights still to come."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_DAMPING = 0.01
"""Share of the mean diagonal that is added to it, as in the paper."""
_LAZY = 128
"""Inputs that are rounded before their errors are passed on to the inputs after them, as in the paper."""


@dataclass(frozen=True)
class Codes:
    """A matrix (inputs, outputs) as integers with one scale and zero point per output and block of inputs."""

    values: Array
    """(outputs, blocks, block size), not negative; what pads the last block is its zero point."""
    scales: Array
    """(outputs, blocks), float32."""
    zero_points: Array
    """(outputs, blocks)."""

    def weights(self, inputs: int) -> Array:
        """The matrix (inputs, outputs) that the integers stand for."""
        blocks = (self.values.astype(np.float32) - self.zero_points[..., None]) * self.scales[..., None]
        return np.ascontiguousarray(blocks.reshape(len(blocks), -1)[:, :inputs].T)

    def packed(self, bits: int) -> tuple[Array, Array, Array]:
        """Weights, scales and zero points as MatMulNBits reads them: with 4 bits two to a byte, the first one low."""
        points = self.zero_points
        if bits == 8:
            return self.values.astype(np.uint8), self.scales, points.astype(np.uint8)
        points = np.pad(points, ((0, 0), (0, points.shape[1] % 2)))
        return _pairs(self.values), self.scales, _pairs(points)


def gptq(weights: Array, moments: Array, *, bits: int, block_size: int) -> Codes:
    """Round a matrix (inputs, outputs) so that its products change least, in the mean of the calibration text.

    `moments` (inputs, inputs) is the sum of x xᵀ over the inputs x that it met (Frantar et al. 2023, algorithm 1, with
    the order of its authors' code). Computed by torch on one thread, so that the result is always the same.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _round(torch.from_numpy(weights.T.astype(np.float64)), _damped(moments), bits, block_size)
    finally:
        torch.set_num_threads(threads)


def _damped(moments: Array) -> Any:
    import torch

    damped = torch.from_numpy(moments.astype(np.float64))
    diagonal = damped.diagonal()
    diagonal[diagonal == 0] = 1.0  # an input that is always zero: any rounding will do
    diagonal += _DAMPING * diagonal.mean()
    return damped


def _spread(damped: Any) -> Any:
    """The upper Cholesky factor of the inverse of the damped moments: how an error is made good."""
    import torch

    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _round(rows: Any, moments: Any, bits: int, block_size: int) -> Codes:
    """The inputs that matter most go first, while the most weights are left to make their errors good; scales are
    those of the weights as they were."""
    import torch

    outputs, inputs = rows.shape
    scale, point = _grids(rows, bits, block_size)
    order = torch.argsort(moments.diagonal(), descending=True, stable=True)
    spread, rows = _spread(moments[order][:, order]), rows[:, order]
    values = point.repeat_interleave(block_size, 1)
    for start in range(0, inputs, _LAZY):
        here = slice(start, min(start + _LAZY, inputs))
        part, local = rows[:, here].clone(), spread[here, here]
        errors = torch.empty_like(part)
        for column in range(part.shape[1]):
            place = int(order[start + column])
            size, zero = scale[:, place // block_size], point[:, place // block_size]
            code = torch.clamp(torch.round(part[:, column] / size) + zero, 0, 2**bits - 1)
            errors[:, column] = (part[:, column] - (code - zero) * size) / local[column, column]
            part[:, column:] -= torch.outer(errors[:, column], local[column, column:])
            values[:, place] = code
        rows[:, here.stop :] -= errors @ spread[here, here.stop :]
    codes = values.numpy().astype(np.int64).reshape(outputs, -1, block_size)
    return Codes(codes, scale.numpy().astype(np.float32), point.numpy().astype(np.int64))


def _grids(rows: Any, bits: int, block_size: int) -> tuple[Any, Any]:
    """Scale and zero point of each row in each block of inputs."""
    import torch

    made = [_grid(rows[:, start : start + block_size], bits) for start in range(0, rows.shape[1], block_size)]
    return torch.stack([scale for scale, _ in made], 1), torch.stack([point for _, point in made], 1)


def _grid(block: Any, bits: int) -> tuple[Any, Any]:
    """Scale and zero point of each row: the grid reaches from its least to its greatest value, zero included."""
    import torch

    low, high = block.amin(1).clamp(max=0), block.amax(1).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).float().double()  # as it is stored
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return scale, torch.clamp(torch.round(-low / scale), 0, 2**bits - 1)


def _pairs(codes: Array) -> Array:
    whole = codes.astype(np.uint8)
    return np.ascontiguousarray(whole[..., ::2] | (whole[..., 1::2] << 4))
