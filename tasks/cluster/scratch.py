"""The folder that a local cluster writes into: short of name, gone with its cluster, swept up where that was killed."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.artifacts.lock import is_locked, lock_if_free

_PREFIX = "gm-"
"""Short: Ray's sockets lie in the folder, and their paths have 107 bytes at most. A home's own path is too long."""
_LOCK = "owner.lock"
_YOUNG_S = 3600.0


@contextmanager
def cluster_folder() -> Iterator[str]:
    """A new folder, removed afterwards; its lock says that its owner lives."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with lock_if_free(folder / _LOCK):
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep_dead_folders() -> None:
    """Remove the folders of this user's clusters whose owner was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else sweeps as well
            if _is_dead(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    lock = folder / _LOCK
    if lock.exists():
        return not is_locked(lock)
    return time.time() - found.st_mtime > _YOUNG_S  # a younger one may be about to get its lock
