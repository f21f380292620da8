"""Muon: momentum whose matrices are made nearly orthogonal before they update the weights."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

from tasks.training.sharding import part_like, whole

_QUINTICS = ((6.7524, -18.3510, 13.2633), (2.5379, -1.8747, 0.4413), (1.9270, -1.3066, 0.3807))
"""a x + b x³ + c x⁵ of the first steps. Each is the closest to one where the steps before leave singular values, which
were 0.05 to 1 at first: within 0.665, then 0.218, then 0.007 of one. Choosing step by step is the best that so many
steps can do (Amsel et al. 2025, Polar Express)."""
_CONVERGING = (15 / 8, -10 / 8, 3 / 8)
"""Of every later step, for what is close to one already (Kovarik 1970)."""
_MARGIN = 1.01
"""Rounding must not bring a singular value above one, where the first quintic is steep."""
_EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Orthogonalized Nesterov momentum (Jordan et al. 2024), all matrices of one shape in one batched product.

    An update of shape (out, in) is scaled by sqrt(max(1, out / in)), so that one learning rate serves every width.
    With `row_beta`, the rows of an update (the columns of a wide one) are first divided by the root of their running
    mean square, its norm kept, so that no neuron moves much more than another (NorMuon, Li et al. 2025).
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        newton_schulz_steps: int = 2,
        row_beta: float | None = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._newton_schulz_steps = newton_schulz_steps
        self._row_beta = row_beta

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, **{name: group[name] for name in ("lr", "weight_decay", "momentum")})

    def _update(self, parameters: list[torch.Tensor], *, lr: float, weight_decay: float, momentum: float) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        means = [self._momenta(parameter) for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, means, momentum)
        update = orthogonalize(torch.stack([whole(one) for one in ahead]), self._newton_schulz_steps).float()
        if self._row_beta is not None:
            update = self._normalize(update, parameters, self._row_beta)
        out_width, in_width = update.shape[1:]
        if weight_decay:
            torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        parts = [part_like(one, parameter) for one, parameter in zip(update.unbind(), parameters, strict=True)]
        torch._foreach_add_(parameters, parts, alpha=-lr * max(1.0, out_width / in_width) ** 0.5)

    def _normalize(self, update: torch.Tensor, parameters: list[torch.Tensor], beta: float) -> torch.Tensor:
        """(batch, out, in): rows, or columns of a wide matrix, brought to the same mean square over time."""
        summed = -1 if update.shape[1] >= update.shape[2] else -2
        squares = update.square().mean(summed, keepdim=True)
        states = [self._row_squares(p, one) for p, one in zip(parameters, squares, strict=True)]
        torch._foreach_lerp_(states, list(squares.unbind()), 1 - beta)
        norm = update.norm(dim=(-2, -1), keepdim=True)
        evened = update * torch.stack(states).clamp_min(_EPS**2).rsqrt()
        kept: torch.Tensor = evened * (norm / evened.norm(dim=(-2, -1), keepdim=True).clamp_min(_EPS))
        return kept

    def _momenta(self, parameter: torch.Tensor) -> torch.Tensor:
        states = self.state[parameter]
        if "momentum_buffer" not in states:
            states["momentum_buffer"] = torch.zeros_like(parameter)
        momenta: torch.Tensor = states["momentum_buffer"]
        return momenta

    def _row_squares(self, parameter: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
        """Whole on every rank, also where the matrix is shared out: a number a row weighs nothing."""
        states = self.state[parameter]
        if "row_squares" not in states:
            states["row_squares"] = torch.zeros_like(squares)
        state: torch.Tensor = states["row_squares"]
        return state


def orthogonalize(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """(batch, rows, columns) to bf16 matrices with the same singular vectors and singular values near one.

    They are first divided by the fourth root of the sum of the fourth powers of their singular values, the root of the
    norm of X X^T, which the iteration needs anyway. It is no smaller than the largest of them and closer to it than the
    Frobenius norm, of 384 equal ones by 4.4 times, so that two steps do what took three.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16()
    if is_tall:
        x = x.mT.contiguous()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(_EPS)  # else squares of small gradients would vanish
    gram = x @ x.mT
    bound = gram.norm(dim=(-2, -1), keepdim=True).clamp_min(_EPS**2).sqrt() * _MARGIN
    x, gram = x / bound, gram / bound.square()
    for step in range(steps):
        a, b, c = _QUINTICS[step] if step < len(_QUINTICS) else _CONVERGING
        if step:
            gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
