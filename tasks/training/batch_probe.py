"""The micro batch that suits this machine, found by trying: the largest that fits a GPU, the fastest on a processor."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import torch

from params.errors import TrainingError
from tasks.artifacts.memory import PeakMemory
from tasks.hardware.free_memory import free_memory

log = logging.getLogger(__name__)
Step = Callable[[int], None]
"""Forward and backward pass over so many blocks, gradients dropped afterwards."""
_FULL = 0.9
"""Share of the memory that a step may take; allocators fragment and evaluation comes on top."""
_TIMED = 2


@dataclass(frozen=True)
class Trial:
    """What a micro batch takes."""

    blocks: int
    seconds: float
    """Fastest of the timed passes."""
    peak_bytes: int
    """Largest memory of the process (processor) or of the device during them."""

    @property
    def blocks_per_s(self) -> float:
        """Speed."""
        return self.blocks / self.seconds


def find_micro_blocks(
    step: Step, share: int, *, device: torch.device, reserve_bytes: int = 0, memory_bytes: int | None = None
) -> Trial:
    """The micro batch for a rank whose share of each step is `share` blocks: one of its divisors.

    Sizes grow until one does not fit, or on a processor until two in a row are slower. `reserve_bytes` is what the
    optimizers will take once they have state (`Optimizers.state_bytes`), `memory_bytes` what may be used; without it,
    all there is. Raises TrainingError where even one block is too much.

    The micro batch changes what is learned only by rounding, as the number of threads does, but it does change bytes,
    and what is fastest depends on the moment. So the caller probes once, before the first step, on the first rank,
    writes the size beside the checkpoints before it trains, uses the written one in every later attempt, and the
    manifest names it among the facts (as threads and ranks): same bytes for the same recorded micro batch.
    """
    memory = _memory_bytes(device) if memory_bytes is None else memory_bytes
    return choose(list(_trials(step, share, device, _FULL * memory - reserve_bytes)), fastest=device.type == "cpu")


def choose(trials: list[Trial], *, fastest: bool) -> Trial:
    """The fastest trial, a smaller one only where it is at least 2 % faster; or the largest."""
    best = trials[-1]
    if fastest:
        top = max(trial.blocks_per_s for trial in trials)
        best = max((t for t in trials if t.blocks_per_s * 1.02 >= top), key=lambda t: t.blocks)
    log.info("micro batch of %d blocks (tried %s)", best.blocks, ", ".join(str(trial.blocks) for trial in trials))
    return best


def sizes(share: int) -> list[int]:
    """Divisors of the share, rising, each at least twice the one before, the share itself among them."""
    chosen: list[int] = []
    for size in (d for d in range(share, 0, -1) if share % d == 0):
        if not chosen or 2 * size <= chosen[-1]:
            chosen.append(size)
    return chosen[::-1]


def _trials(step: Step, share: int, device: torch.device, limit: float) -> Iterator[Trial]:
    done: list[Trial] = []
    for size in sizes(share):
        if len(done) > 1 and _predicted_bytes(done, size) > limit:
            return
        trial = _try(step, size, device)
        if trial is None or trial.peak_bytes > limit:
            if not done:
                raise TrainingError(
                    f"one block at a time needs more than the {limit / 1e9:.1f} GB there are for a step; "
                    "shorten the context, take a smaller model or set train.checkpoint_activations"
                )
            return
        done.append(trial)
        yield trial
        if device.type == "cpu" and _slows_down(done):
            return


def _try(step: Step, size: int, device: torch.device) -> Trial | None:
    """Time a size; None where the device's memory does not hold it."""
    memory = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        step(size)
        seconds = min(_seconds(step, size, device) for _ in range(_TIMED))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else int(memory.read_mb() * (1 << 20))
    return Trial(size, seconds, peak)


def _seconds(step: Step, size: int, device: torch.device) -> float:
    began = time.perf_counter()
    step(size)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _predicted_bytes(done: list[Trial], size: int) -> float:
    """Memory of the next size, on the line through the last two."""
    before, last = done[-2:]
    return last.peak_bytes + (last.peak_bytes - before.peak_bytes) * (size - last.blocks) / (
        last.blocks - before.blocks
    )


def _slows_down(done: list[Trial]) -> bool:
    speeds = [trial.blocks_per_s for trial in done]
    return len(speeds) > 2 and max(speeds[-2:]) < max(speeds[:-2])


def _memory_bytes(device: torch.device) -> int:
    """Memory that a step may use: the device's, or the free memory and what this process holds already."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    free = free_memory()
    available = psutil.virtual_memory().available if free is None else free.size_bytes
    return int(available + psutil.Process().memory_info().rss)
