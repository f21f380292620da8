"""Optimizers: Muon on the hidden matrices and AdamW on the rest, or AdamW alone."""

from dataclasses import dataclass

import torch

from params.optimizer import OptimizerParams
from tasks.estimation.memory import adamw_bytes, muon_bytes
from tasks.model.build import hidden_matrices
from tasks.training.loss_scale import LossScale
from tasks.training.muon import Muon
from tasks.training.rates import Rates
from tasks.training.sharding import part_like

_SCALE = "loss_scale"


@dataclass
class Optimizers:
    """The optimizers of a run, each with its peak learning rate, and under fp16 the scale of the loss."""

    parts: tuple[tuple[torch.optim.Optimizer, float], ...]
    scale: LossScale | None = None

    @property
    def loss_factor(self) -> float:
        """What to multiply the loss by before its backward pass."""
        return 1.0 if self.scale is None else self.scale.factor

    @property
    def state_bytes(self) -> int:
        """What the states will take once there are some."""
        kept = 0
        for optimizer, _ in self.parts:
            matrices = isinstance(optimizer, Muon)
            for parameter in parameters_of(optimizer):
                kept += muon_bytes(*parameter.shape) if matrices else adamw_bytes(parameter.numel())
        return kept

    def unscale(self) -> None:
        """Take the loss factor out of the gradients, before their norm is taken."""
        if self.scale is not None:
            gradients = [p.grad for part, _ in self.parts for p in parameters_of(part) if p.grad is not None]
            torch._foreach_mul_(gradients, 1 / self.scale.factor)

    def overflowed(self, grad_norm: float) -> bool:
        """Whether this gradient is only fp16's overflow: `step` will leave the weights and lower the scale."""
        return self.scale is not None and self.scale.absorbs(grad_norm)

    def drop(self) -> None:
        """Forget the gradients: a step without an update."""
        for optimizer, _ in self.parts:
            optimizer.zero_grad(set_to_none=True)

    def step(self, factor: float, grad_norm: float, *, momentum: float | None = None) -> None:
        """Update the weights at `factor` times the peak learning rates, unless the gradient overflowed.

        `momentum` is Muon's from now on.
        """
        for optimizer, peak in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = factor * peak
                if momentum is not None and isinstance(optimizer, Muon):
                    group["momentum"] = momentum
            if not self.overflowed(grad_norm):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.scale is not None:
            self.scale = self.scale.after(grad_norm)


def make_optimizers(
    params: OptimizerParams, model: torch.nn.Module, rates: Rates, *, dtype: torch.dtype | None = None
) -> Optimizers:
    """Optimizers for the parameters that learn; only matrices decay. Under fp16 (`dtype`) the loss is scaled."""
    hidden = hidden_matrices(model) if rates.muon is not None else {}
    chosen = {id(parameter) for parameter in hidden.values()}
    learning = [p for p in model.parameters() if p.requires_grad]
    rest = [p for p in learning if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": params.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=rates.adamw, betas=(params.beta1, params.beta2), eps=1e-8, fused=True)
    parts: list[tuple[torch.optim.Optimizer, float]] = [(adamw, rates.adamw)]
    matrices = [p for p in hidden.values() if p.requires_grad]
    if rates.muon is not None and matrices:
        muon = Muon(
            matrices,
            lr=rates.muon,
            weight_decay=params.weight_decay,
            momentum=params.momentum,
            newton_schulz_steps=params.newton_schulz_steps,
        )
        parts.append((muon, rates.muon))
    return Optimizers(tuple(parts), LossScale() if dtype == torch.float16 else None)


def optimizer_tensors(optimizers: Optimizers) -> dict[str, torch.Tensor]:
    """Every tensor of the optimizers' states, by a name that `load_optimizer_tensors` finds again."""
    tensors: dict[str, torch.Tensor] = {}
    for part, (optimizer, _) in enumerate(optimizers.parts):
        for index, parameter in enumerate(parameters_of(optimizer)):
            for key, value in optimizer.state[parameter].items():
                tensors[f"{part}.{index}.{key}"] = value
    if optimizers.scale is not None:
        tensors[_SCALE] = torch.tensor([optimizers.scale.factor, optimizers.scale.steps], dtype=torch.float64)
    return tensors


def load_optimizer_tensors(optimizers: Optimizers, tensors: dict[str, torch.Tensor]) -> None:
    """Put saved tensors back; raises KeyError when one is missing, so that no optimizer silently starts anew."""
    wanted: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name != _SCALE:
            part, index, key = name.split(".")
            wanted.setdefault((int(part), int(index)), {})[key] = value
    if optimizers.scale is not None:
        factor, steps = tensors[_SCALE].tolist()
        optimizers.scale = LossScale(factor, int(steps))
        if not wanted:  # every step so far overflowed
            return
    for number, (optimizer, _) in enumerate(optimizers.parts):
        for position, parameter in enumerate(parameters_of(optimizer)):
            saved = wanted[number, position]
            optimizer.state[parameter] = {key: part_like(value, parameter) for key, value in saved.items()}


def parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The parameters that an optimizer updates, in its order."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
