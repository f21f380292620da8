"""Paths that a compiler's command line can carry: torch's inductor does not quote them."""

import hashlib
import os
import shlex
import stat
import tempfile
from pathlib import Path


def plain_path(path: Path) -> Path:
    """The path itself where no shell would need quotes for it, else a link to it from a private temporary folder.

    Where no such link can be made the path is returned as it is, and the compiler will say what it thinks of it.
    """
    if shlex.quote(str(path)) == str(path):
        return path
    folder = Path(tempfile.gettempdir()) / f"gristmill-{os.getuid()}"
    link = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    if shlex.quote(str(link)) != str(link):
        return path
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        return path
    if not link.is_symlink():
        temporary = link.with_suffix(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path)
        temporary.replace(link)
    return link


def _is_private(folder: Path) -> bool:
    """Whether the folder is ours alone: somebody else's could lead the compiler anywhere."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
