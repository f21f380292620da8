"""Too little memory: told before training starts, and named when it happens all the same."""

import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

from params.errors import ParameterError
from tasks.estimation.fitting import USABLE, Options, first_fit
from tasks.estimation.layout import Layout
from tasks.estimation.memory import memory_parts
from tasks.estimation.shape import ModelShape

_GIB = 1 << 30
_HOPELESS = 1.25
_SAYS_OUT_OF_MEMORY = re.compile(
    r"(?P<what>(?:torch\.)?(?:cuda\.)?OutOfMemoryError|MemoryError|DefaultCPUAllocator: can't allocate memory"
    r"|CUDA out of memory|std::bad_alloc)"
)
_KILLED = re.compile(r"Signal 9 \(SIGKILL\)|exitcode\s*: -9")


@dataclass(frozen=True)
class Demand:
    """A step and what there is for it."""

    shape: ModelShape
    layout: Layout
    available: int
    """Bytes that one rank may take."""
    where: str
    """Such as `this machine` or `cuda:0`."""
    options: Options = field(default_factory=Options)


def check_memory(demand: Demand) -> str | None:
    """What to warn of when a step may just not fit, with the largest part and the setting that would fit.

    Raises ParameterError with the same text when it needs more than there is by a quarter: the estimate is good to a
    tenth or so, and what is free may be more in a minute.
    """
    parts = memory_parts(demand.shape, demand.layout)
    if parts.total <= demand.available * USABLE:
        return None
    told = f"a step needs about {parts.total / _GIB:.1f} GiB for each rank and {demand.where} has "
    told += f"{demand.available / _GIB:.1f} GiB; {_advice(demand)}"
    if parts.total > demand.available * _HOPELESS:
        raise ParameterError(f"train: {told}")
    return told


def out_of_memory(demand: Demand, reason: str) -> str:
    """What to say when training ran out of memory although the estimate let it start."""
    return f"training ran out of memory on {demand.where} ({reason}); {_advice(demand, below_now=True)}"


def memory_failure(output: Path, code: int, *, kills: int) -> str | None:
    """Whether a training process that ended with `code` ran out of memory, and how it shows; None for other ends.

    `output` is what it said; `kills` is by how many `oom_kills` has grown while it ran. A process that was killed by
    signal 9 is laid to memory only where the kernel counted such a kill.
    """
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    if code and (said := _SAYS_OUT_OF_MEMORY.search(text)):
        return said["what"]
    killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) or (code and _KILLED.search(text))
    return "the kernel killed it: the memory was full" if killed and kills > 0 else None


def _advice(demand: Demand, *, below_now: bool = False) -> str:
    """The largest part, and the first change that makes the step fit."""
    parts = memory_parts(demand.shape, demand.layout)
    name, size = next(iter(parts.by_size.items()))
    told = f"the largest part is {name} with {size / _GIB:.1f} GiB"
    target = int(demand.available * USABLE)
    if below_now:  # it did not fit, whatever was estimated: ask for a good deal less
        target = min(target, int(0.8 * parts.total))
    fit = first_fit(demand.shape, demand.layout, target, options=demand.options)
    if fit is None:
        return f"{told}, and no setting makes it fit: use a machine with more memory"
    needs = f"{fit.parts.total / _GIB:.1f} GiB with {settings_text(fit.changes)}"
    return f"{told}. It needs less, {needs}" if below_now else f"{told}. It would fit, needing {needs}"


def settings_text(changes: tuple[str, ...]) -> str:
    """Changes as a user gives them: settings with --set, and what has none in words."""
    return ", ".join(f"--set {change}" if "=" in change else change for change in changes)
