"""A full disk: which one, what is free there, and about how much more the work under way needs."""

import os
import shutil
from pathlib import Path

from params.errors import StoreError

_MEGABYTE = 1e6


def full_disk(root: Path, *, during: str = "", wanted_bytes: int | None = None) -> StoreError:
    """The error for a disk that holds `root` and is full; `during` names the stage that met it, if one did."""
    usage = shutil.disk_usage(root)
    where = f"{root} (disk at {mount_point(root)}: {_megabytes(usage.free)} of {_megabytes(usage.total)} are free"
    if wanted_bytes is not None:
        where += f", about {_megabytes(max(wanted_bytes - usage.free, _MEGABYTE))} are missing"
    return StoreError.no_space(f"{where})", during=during)


def mount_point(path: Path) -> Path:
    """Where the disk that holds a path begins."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if os.path.ismount(parent))


def _megabytes(size: float) -> str:
    return f"{size / _MEGABYTE:,.1f} MB"
