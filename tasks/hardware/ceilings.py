"""What this machine can do at most, and how near to it a run comes."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

from tasks.artifacts.digest import write_atomic
from tasks.hardware.accelerators import Precision

_ALWAYS_BUSY = 0.1


@dataclass(frozen=True)
class Ceilings:
    """Measured limits; None for what there is not here (bf16 threads on a GPU, a link where there is one rank)."""

    device: str
    """Name of the processor or GPU."""
    threads: int
    """Of one rank."""
    ranks: int
    fp32_gflops: float
    """Matrix products in float32 as training does them, all threads of a rank."""
    bf16_gflops: float
    """The same in bfloat16."""
    fp32_gflops_per_thread: float | None
    """One thread alone; not on a GPU."""
    bf16_gflops_per_thread: float | None
    memory_gb_s: float
    """Triad a = b + s c (McCalpin's STREAM), three arrays passed over, all threads."""
    disk_read_mb_s: float
    """A file that was written, synced and put out of the page cache; a disk or a host may still have it in its own."""
    disk_cached_mb_s: float
    """The same file again, out of the page cache."""
    to_device_gb_s: float | None
    """Pinned memory to the GPU."""
    from_device_gb_s: float | None
    all_reduce_gb_s: float | None
    """Bus bandwidth of an all-reduce over all ranks: bytes x 2 (n - 1) / n / time."""
    busy_cores: float = 0.0
    """Cores that other processes used meanwhile: too many, and the figures are too low."""

    @property
    def figures(self) -> dict[str, float]:
        """The measured figures there are, by name, for a log."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, float)}

    def is_sound(self, cores: int) -> bool:
        """Whether a machine of so many cores had enough of them for measuring; a tenth of one is always busy."""
        return self.busy_cores <= max(cores - self.threads, 0) + _ALWAYS_BUSY

    def better_of(self, other: Self) -> Self:
        """The higher of each figure of two measurements on one machine: nothing makes it faster than it is."""
        best = {
            name: max(value, there)
            for name, value in self.figures.items()
            if (there := getattr(other, name)) is not None
        }
        return replace(self, **best | {"busy_cores": min(self.busy_cores, other.busy_cores)})

    def matrix_peak(self, precision: Precision) -> float:
        """Operations per second of all ranks together."""
        return 1e9 * self.ranks * (self.fp32_gflops if precision == "fp32" else self.bf16_gflops)

    def save(self, path: Path) -> None:
        """Keep for the next run on this machine."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """What an earlier run kept; None where there is nothing, or nothing of today's form."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        known = {field.name for field in fields(cls)}
        return cls(**found) if isinstance(found, dict) and found.keys() == known else None


def share_of_peak(tokens_per_s: float, flops_per_token: float, ceilings: Ceilings, *, precision: Precision) -> float:
    """The model's operations per second (TokenFlops.total a token) over the measured matrix peak of all ranks."""
    return tokens_per_s * flops_per_token / ceilings.matrix_peak(precision)
