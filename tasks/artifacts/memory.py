"""Peak memory of a stretch of work, and memory that is not needed any more."""

import ctypes
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_M_ARENA_MAX = -8  # malloc.h
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


def limit_arenas() -> None:
    """Let all threads share two heaps of the C library (glibc): with one for each, what one of them frees stays its
    own, and a process that reads text in two threads holds a fifth more."""
    if (c_library := _glibc()) is not None:
        c_library.mallopt(_M_ARENA_MAX, 2)


def release_memory() -> None:
    """Give what was freed back to the system, where the C library keeps it (glibc)."""
    if (c_library := _glibc()) is not None:
        c_library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
