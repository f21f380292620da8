"""How much of the processor other processes use, so that a figure that was measured meanwhile is not believed."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Columns of idle time and of waiting for the disk, as proc(5) lists them; guests are counted among users."""
_COLUMNS = 8


@dataclass(frozen=True)
class CpuClock:
    """Seconds since some instant."""

    wall_s: float
    machine_s: float | None
    """In which a core was busy, summed over the cores; None where nobody tells."""
    own_s: float
    """Of this process."""

    @classmethod
    def read(cls) -> Self:
        """Now."""
        machine_s = _busy_s(_STAT.read_text()) if _STAT.exists() else None
        return cls(time.monotonic(), machine_s, time.process_time())

    def busy_cores(self, until: "CpuClock") -> float:
        """Cores that other processes used from now until then; 0 where nobody tells."""
        if self.machine_s is None or until.machine_s is None:
            return 0.0
        others_s = (until.machine_s - self.machine_s) - (until.own_s - self.own_s)
        return max(others_s / max(until.wall_s - self.wall_s, 1e-9), 0.0)


def _busy_s(stat: str) -> float:
    ticks = [int(value) for value in stat.split("\n", 1)[0].split()[1 : _COLUMNS + 1]]
    return (sum(ticks) - sum(ticks[column] for column in _IDLE)) / os.sysconf("SC_CLK_TCK")
