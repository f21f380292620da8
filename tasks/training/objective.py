"""The training objective: summed cross-entropy of the next token, compiled where a compiler is at hand."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn import functional

from tasks.training.batch import IGNORED, Batch

log = logging.getLogger(__name__)
Objective = Callable[[torch.nn.Module, Batch], torch.Tensor]


def token_losses(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """(batch, time) cross-entropy of each target in nats, zero where it is ignored."""
    logits = _logits(model, batch.inputs, batch.positions, batch.mask)
    flat = functional.cross_entropy(
        logits.float().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view_as(batch.targets)


def make_objective(device: torch.device, *, bf16: bool, compiled: bool) -> Objective:
    """A function (model, batch) -> summed cross-entropy in nats.

    Shapes are static: with dynamic ones a kernel would depend on which shapes came before, and a resumed run would
    not repeat an undisturbed one bit by bit.
    """

    def loss_sum(model: torch.nn.Module, inputs: Any, targets: Any, positions: Any, mask: Any) -> torch.Tensor:
        logits = _logits(model, inputs, positions, mask)
        flat = logits.float().flatten(0, 1)
        return functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="sum")

    function = torch.compile(loss_sum, dynamic=False) if compiled else loss_sum

    def objective(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        with autocast(device, bf16=bf16):
            value: torch.Tensor = function(model, batch.inputs, batch.targets, batch.positions, batch.mask)
        return value

    return objective


def autocast(device: torch.device, *, bf16: bool) -> AbstractContextManager[None]:
    """bf16 matrix products with float32 weights, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products are native, and so faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(present for name, present in torch.cpu.get_capabilities().items() if "bf16" in name)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works here; says why not (no C++ compiler, no Python headers, as a rule)."""

    def probe(x: torch.Tensor) -> torch.Tensor:
        return (x.sin() + 1).sum()

    try:
        torch.compile(probe, dynamic=False)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as error:
        _, _, output = str(error).partition("Output:")  # what the compiler said, where there was one to say something
        reason = (output.strip() or str(error).strip()).splitlines()[0][:200]
        log.warning(
            "torch.compile does not work here (%s); training goes on uncompiled, slower. "
            "Install a C++ compiler and the Python headers (Debian: g++ python3-dev), or set run.compile=false",
            reason,
        )
        return False
    return True


def _logits(model: torch.nn.Module, inputs: Any, positions: Any, mask: Any) -> torch.Tensor:
    out: torch.Tensor = model(input_ids=inputs, attention_mask=mask, position_ids=positions, use_cache=False).logits
    return out
