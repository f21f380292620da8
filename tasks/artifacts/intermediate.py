"""Intermediate files of a stage: they outlive its process, but not the machine's, so nothing waits for the disk."""

from functools import cache
from pathlib import Path
from shutil import rmtree

import psutil

_PREFIX = "scratch-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def scratch_folder(draft: Path) -> Path:
    """Where a stage keeps what its result does not hold; what was written before the machine last started is removed.

    Its files are not forced onto the disk: whoever is killed finds them as they were, for the system has them, but a
    power cut may leave names without contents.
    """
    folder = draft / _name()
    for other in draft.glob(f"{_PREFIX}*"):
        if other != folder:
            rmtree(other)
    return folder


def is_intermediate(path: Path) -> bool:
    """Whether a path is such a folder of this very machine, or in it."""
    return _name() in path.parts


@cache
def _name() -> str:
    """Another one each time the machine starts."""
    try:
        return _PREFIX + _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return f"{_PREFIX}{psutil.boot_time():.0f}"
