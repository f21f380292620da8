"""The machine that training runs on: what it can do at most, and the micro batch that suits it."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from tasks.artifacts.digest import write_atomic
from tasks.hardware.ceilings import Ceilings, share_of_peak
from tasks.training.batch import Batch
from tasks.training.objective import precision_name

if TYPE_CHECKING:
    from tasks.hardware.accelerators import Precision
    from tasks.training.setup import Parts

log = logging.getLogger(__name__)
CEILINGS = "ceilings.json"
"""In the logs of a training: the ceilings that it is judged by."""
MICRO_BLOCKS = "micro_blocks.json"
"""Beside the checkpoints: the micro batch that was found, for every later attempt."""


@dataclass(frozen=True)
class Machine:
    """What training knows of the machine."""

    micro_blocks: int | None
    """Blocks per forward pass of a rank; None for all of its share."""
    ceilings: Ceilings | None
    """None where nobody wanted them measured."""
    precision: "Precision"
    flops_per_token: float | None
    """Operations of the model, forward and backward; None for an architecture without a formula."""

    def share_of_peak(self, tokens_per_s: float) -> float | None:
        """How near training comes to the measured peak of matrix products."""
        if self.ceilings is None or self.flops_per_token is None:
            return None
        return share_of_peak(tokens_per_s, self.flops_per_token, self.ceilings, precision=self.precision)


def know_machine(parts: "Parts") -> Machine:
    """Measure the machine unless an earlier run or attempt did; to be called on every rank."""
    ceilings = _ceilings(parts) if parts.job.settings.watch.ceilings else None
    return Machine(
        micro_blocks=_micro_blocks(parts),
        ceilings=ceilings,
        precision=cast("Precision", precision_name(parts.dtype)),
        flops_per_token=_flops_per_token(parts),
    )


def doubt_ceilings(parts: "Parts", points: Iterable[Mapping[str, Any]]) -> None:
    """Have the machine measured again by the next training where this one was faster than its peak.

    `points` are those of the curve. What was measured on a busy machine is too low.
    """
    from tasks.hardware.probe import forget

    job, accelerator = parts.job, parts.accelerator
    most = max((point.get("share_of_peak") or 0.0 for point in points), default=0.0)
    if most > 1.0:
        log.info("training came to %.0f%% of the measured peak, which is measured again", 100 * most)
        forget(accelerator.device, threads=job.threads, ranks=accelerator.num_processes, cache=job.cache)


def _ceilings(parts: "Parts") -> Ceilings:
    from tasks.hardware.probe import probe

    job, accelerator = parts.job, parts.accelerator
    found = probe(accelerator.device, threads=job.threads, folder=job.out / "logs", cache=job.cache)
    if accelerator.is_main_process:
        found.save(job.out / "logs" / CEILINGS)
        if not found.is_sound(os.cpu_count() or 1):
            log.info("others used %.1f cores meanwhile: the next training measures again", found.busy_cores)
    return found


def _flops_per_token(parts: "Parts") -> float | None:
    from tasks.estimation.arithmetic import token_flops
    from tasks.estimation.shape import FAMILIES, ModelShape

    config = parts.model.config
    if config.model_type not in FAMILIES:
        return None
    return float(token_flops(ModelShape.of_config(config.to_dict(), context=parts.goal.train.context)).total)


def _micro_blocks(parts: "Parts") -> int | None:
    """As the parameters say; with auto, what the first attempt found and wrote down."""
    wanted = parts.job.params.micro_blocks
    if wanted != "auto":
        return wanted
    path = parts.job.out / MICRO_BLOCKS
    if parts.accelerator.is_main_process and not path.exists():
        write_atomic(path, json.dumps({"micro_blocks": _find_micro_blocks(parts)}))
    parts.accelerator.wait_for_everyone()
    return int(json.loads(path.read_text(encoding="utf-8"))["micro_blocks"])


def _find_micro_blocks(parts: "Parts") -> int:
    """Try forward and backward passes on the first step's blocks; weights and random states stay as they are."""
    from tasks.training.batch_probe import find_micro_blocks

    batch, _ = parts.batch(0)
    reserve = parts.optimizers.state_bytes

    def step(blocks: int) -> None:
        part: Batch = batch.split(blocks)[0]
        torch.autograd.backward(parts.objective(parts.goal.loss, part).reshape(-1)[0])
        parts.goal.loss.zero_grad(set_to_none=True)

    with torch.random.fork_rng(devices=[] if parts.accelerator.device.type == "cpu" else None):
        found = find_micro_blocks(step, len(batch), device=parts.accelerator.device, reserve_bytes=reserve)
    log.info("micro batch of %d blocks: %.0f blocks/s", found.blocks, found.blocks_per_s)
    return found.blocks
