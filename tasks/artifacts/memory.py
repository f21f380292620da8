"""Peak memory of a stretch of work."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class PeakMemory:
    """The largest resident memory since construction, in megabytes.

    Linux can reset its high-water mark (proc(5), clear_refs); elsewhere the mark of the whole process is given.
    """

    def __init__(self) -> None:
        try:
            _CLEAR_REFS.write_text("5")
        except OSError:  # no such file on macOS, or not allowed in a container: the mark just starts higher
            return

    def read_mb(self) -> float:
        """Peak so far."""
        if _STATUS.exists():
            fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
            return int(fields["VmHWM"].split()[0]) / 1024
        return self.of_process_mb()

    @staticmethod
    def of_process_mb() -> float:
        """Peak of this process since it began."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
