"""The training objective: summed cross-entropy of the next token, compiled where a compiler is at hand."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tasks.training.batch import IGNORED, Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
Objective = Callable[[torch.nn.Module, Batch], torch.Tensor]
Precision = Literal["auto", "bf16", "fp16", "fp32"]

LOGITS_BYTES = 1 << 28
"""Most memory of float32 logits at a time; a larger vocabulary or batch is cut into chunks of tokens."""
_RESHAPED_LOGITS = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Settings of architectures that change the logits after the output projection."""


class TokenLoss(torch.nn.Module):
    """A causal language model with its loss: what is wrapped for many devices and what is compiled.

    `forward` gives the summed cross-entropy in nats. Logits of more than `logits_bytes` never exist whole: each chunk
    of tokens is projected, scored and dropped, and projected once more for its gradient, which costs a third of the
    output projection's time. The loss is the same up to rounding.
    """

    def __init__(self, model: "PreTrainedModel", *, logits_bytes: int = LOGITS_BYTES) -> None:
        super().__init__()
        self.model = model
        self._logits_bytes = logits_bytes
        self._plain_logits = not any(getattr(model.config, name, None) for name in _RESHAPED_LOGITS)

    def forward(
        self, inputs: torch.Tensor, targets: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        rows = max(1, self._logits_bytes // (4 * int(self.model.config.vocab_size)))
        if targets.numel() <= rows or not self._plain_logits:
            return _cross_entropy(logits_of(self.model, inputs, positions, mask), targets)
        hidden = self.model.base_model(
            input_ids=inputs, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return self._in_chunks(hidden.flatten(0, 1), targets.flatten(), rows)

    def _in_chunks(self, hidden: torch.Tensor, targets: torch.Tensor, rows: int) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        for part, wanted in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True):
            if torch.is_grad_enabled():
                total = total + checkpoint(
                    self._chunk_loss, part, wanted, use_reentrant=False, preserve_rng_state=False
                )
            else:
                total = total + self._chunk_loss(part, wanted)
        return total

    def _chunk_loss(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        model: Any = self.model
        return _cross_entropy(model.get_output_embeddings()(hidden), targets)


def token_losses(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """(batch, time) cross-entropy of each target in nats, zero where it is ignored."""
    logits = logits_of(model, batch.inputs, batch.positions, batch.mask)
    flat = functional.cross_entropy(
        logits.float().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view_as(batch.targets)


def make_objective(device: torch.device, *, dtype: torch.dtype | None, compiled: bool) -> Objective:
    """A function (TokenLoss, or what wraps it; batch) -> summed cross-entropy in nats.

    `dtype` is that of the matrix products, as `arithmetic` chooses it. Shapes are static: with dynamic ones a kernel
    would depend on which shapes came before, and a resumed run would not repeat an undisturbed one bit by bit.
    """

    def loss_sum(module: torch.nn.Module, *tensors: torch.Tensor) -> Any:
        return module(*tensors)

    function = torch.compile(loss_sum, dynamic=False) if compiled else loss_sum

    def objective(module: torch.nn.Module, batch: Batch) -> torch.Tensor:
        with autocast(device, dtype):
            value: torch.Tensor = function(module, *batch.tensors)
        return value

    return objective


def arithmetic(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Type of the matrix products under autocast, or None for float32; auto takes bf16 where the processor has it."""
    if precision == "auto":
        return torch.bfloat16 if has_bf16(device) else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[precision]


def precision_name(dtype: torch.dtype | None) -> str:
    """As TrainParams.precision spells it."""
    return {torch.bfloat16: "bf16", torch.float16: "fp16", None: "fp32"}[dtype]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[None]:
    """Matrix products of that type with float32 weights, or plain float32."""
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def checkpoint_activations(model: "PreTrainedModel") -> None:
    """Keep only the input of each block and compute the rest again in the backward pass.

    Memory of activations falls from about 34 to 2 bytes x tokens x width a block (Korthikanti et al. 2022, section
    4.1), at a third more time.
    """
    model.activation_checkpointing_enable({"use_reentrant": False})


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


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    flat = logits.float().flatten(0, -2)
    return functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="sum")


def logits_of(model: torch.nn.Module, inputs: Any, positions: Any, mask: Any) -> torch.Tensor:
    """(batch, time, vocabulary) logits over packed blocks."""
    out: torch.Tensor = model(input_ids=inputs, attention_mask=mask, position_ids=positions, use_cache=False).logits
    return out
