"""Distillation: a cut model learns to say what the whole one says, on training text. Exactly resumable."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.random import default_rng
from torch.nn import functional

from params.errors import TrainingError
from params.prune import PruneParams
from tasks.artifacts.digest import commit
from tasks.training.batch import IGNORED, Batch
from tasks.training.objective import arithmetic, autocast

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
CHECKPOINT, CURVE = "healing.pt", "healing.jsonl"
_WARMUP = 0.05
_WEIGHT_DECAY = 0.1
_CLIP = 1.0
_LOG_EVERY = 10
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Lesson:
    """What healing goes by."""

    params: PruneParams
    num_blocks: int
    """Training blocks there are."""
    steps: int
    batch: Callable[[np.typing.NDArray[np.int64]], Batch]
    """Gives the blocks with these indices."""


def heal(student: "PreTrainedModel", teacher: "PreTrainedModel", lesson: Lesson, folder: Path) -> None:
    """Train the student in place; a later call goes on from the checkpoint in `folder`, where the curve is as well.

    The loss of a token is the divergence of the student's distribution from the teacher's, both at the temperature,
    times its square (Hinton et al. 2015; logits alone, as Minitron recommends). The data of a step depends on its
    number only, and neither model draws random numbers: a run that was killed ends with the same bytes.
    """
    optimizer = torch.optim.AdamW(student.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=_WEIGHT_DECAY)
    saved, curve = folder / CHECKPOINT, folder / CURVE
    first = _load(saved, student, optimizer)
    _cut_curve(curve, first)
    student.train()
    for step in range(first, lesson.steps):
        for group in optimizer.param_groups:
            group["lr"] = lesson.params.learning_rate * rate_factor(step, lesson.steps)
        loss = _step(student, teacher, optimizer, lesson, step)
        if not np.isfinite(loss):
            raise TrainingError(
                f"prune: healing diverged at step {step + 1} of {lesson.steps} (the divergence is {loss}); "
                f"lower prune.learning_rate, which is {lesson.params.learning_rate:g}"
            )
        if (step + 1) % _LOG_EVERY == 0 or step + 1 == lesson.steps:
            log.info("prune: healing step %d of %d, divergence %.4f", step + 1, lesson.steps, loss)
            with curve.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step + 1, "divergence": loss}) + "\n")
        if (step + 1) % lesson.params.save_every_steps == 0:
            _save(saved, student, optimizer, step + 1)
    student.train(False)


def rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate: up over the first twentieth, then down to zero in a line."""
    warmup = max(1, round(steps * _WARMUP))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup + 1))


def block_indices(step: int, lesson: Lesson) -> np.typing.NDArray[np.int64]:
    """Training blocks of a step: epochs follow each other, each in an order of its own."""
    size = lesson.params.batch_blocks
    return np.array([_shuffled(place, lesson) for place in range(step * size, (step + 1) * size)], np.int64)


def divergence(student: torch.Tensor, teacher: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean over counted positions of KL(teacher || student) in nats, times the temperature squared."""
    counted = targets.flatten() != IGNORED
    mine, theirs = (logits.float().flatten(0, 1)[counted] / temperature for logits in (student, teacher))
    found = functional.kl_div(
        functional.log_softmax(mine, -1), functional.log_softmax(theirs, -1), reduction="batchmean", log_target=True
    )
    return found * temperature**2


def _step(student: Any, teacher: Any, optimizer: torch.optim.Optimizer, lesson: Lesson, step: int) -> float:
    batch, dtype = lesson.batch(block_indices(step, lesson)), arithmetic("auto", _CPU)
    given = {
        "input_ids": batch.inputs,
        "attention_mask": batch.mask,
        "position_ids": batch.positions,
        "use_cache": False,
    }
    with autocast(_CPU, dtype):
        with torch.no_grad():
            theirs = teacher(**given).logits
        mine = student(**given).logits
    loss = divergence(mine, theirs, batch.targets, lesson.params.temperature)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(student.parameters(), _CLIP)
    optimizer.step()
    return float(loss.detach())


def _shuffled(place: int, lesson: Lesson) -> int:
    epoch, index = divmod(place, lesson.num_blocks)
    return int(_order(lesson.params.seed, epoch, lesson.num_blocks)[index])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, size: int) -> np.typing.NDArray[np.int64]:
    return default_rng([seed, epoch]).permutation(size)


def _load(path: Path, student: Any, optimizer: torch.optim.Optimizer) -> int:
    """The number of steps done."""
    if not path.exists():
        return 0
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    student.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])


def _save(path: Path, student: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    draft = path.with_name(f"{path.name}.tmp")
    torch.save({"step": step, "model": student.state_dict(), "optimizer": optimizer.state_dict()}, draft)
    commit(draft, path)


def _cut_curve(path: Path, step: int) -> None:
    """Forget points after the step that is gone on from."""
    kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(kept), encoding="utf-8")


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        yield from (line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n"))
