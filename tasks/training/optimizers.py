"""Optimizers: Muon on the hidden matrices and AdamW on the rest, or AdamW alone."""

from dataclasses import dataclass

import torch

from params.train import OptimizerParams
from tasks.model.build import hidden_matrices


@dataclass(frozen=True)
class Optimizers:
    """The optimizers of a run, each with its peak learning rate."""

    parts: tuple[tuple[torch.optim.Optimizer, float], ...]

    def step(self, factor: float) -> None:
        """Update the weights at `factor` times the peak learning rates."""
        for optimizer, peak in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = factor * peak
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def make_optimizers(params: OptimizerParams, model: torch.nn.Module, device: torch.device) -> Optimizers:
    """Optimizers for a model's parameters; only matrices decay."""
    hidden = hidden_matrices(model) if params.name == "muon" else {}
    chosen = {id(parameter) for parameter in hidden.values()}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": params.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=params.lr, betas=(params.beta1, params.beta2), eps=1e-8, fused=True)
    parts: list[tuple[torch.optim.Optimizer, float]] = [(adamw, params.lr)]
    if hidden:
        muon = torch.optim.Muon(
            hidden.values(),
            lr=params.muon_lr,
            weight_decay=params.weight_decay,
            momentum=0.95,
            ns_steps=params.newton_schulz_steps,
        )
        parts.append((muon, params.muon_lr))
    return Optimizers(tuple(parts))


def optimizer_tensors(optimizers: Optimizers) -> dict[str, torch.Tensor]:
    """Every tensor of the optimizers' states, by a name that `load_optimizer_tensors` finds again."""
    tensors: dict[str, torch.Tensor] = {}
    for part, (optimizer, _) in enumerate(optimizers.parts):
        for index, parameter in enumerate(_parameters(optimizer)):
            for key, value in optimizer.state[parameter].items():
                tensors[f"{part}.{index}.{key}"] = value
    return tensors


def load_optimizer_tensors(optimizers: Optimizers, tensors: dict[str, torch.Tensor]) -> None:
    """Put saved tensors back; raises KeyError when one is missing, so that no optimizer silently starts anew."""
    wanted: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        part, index, key = name.split(".")
        wanted.setdefault((int(part), int(index)), {})[key] = value
    for number, (optimizer, _) in enumerate(optimizers.parts):
        for position, parameter in enumerate(_parameters(optimizer)):
            saved = wanted[number, position]
            optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in saved.items()}


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
