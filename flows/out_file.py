"""The file that people name with --out: refused before the work where it cannot be written, then written whole."""

import os
import tempfile
from pathlib import Path

from params.errors import ParameterError
from tasks.artifacts.digest import write_atomic


def check_out(path: Path) -> None:
    """Raise ParameterError where a file could not be written; nothing is left there by asking."""
    try:
        if path.is_dir():
            raise ParameterError(f"--out {path}: is a folder; name a file in it")
        if path.exists() and not os.access(path, os.W_OK):
            raise ParameterError(f"--out {path}: cannot be written (no permission); name another file")
        if _gets_its_name_last(path):
            tempfile.TemporaryFile(dir=path.resolve().parent).close()
    except OSError as error:
        raise _refused(path, error) from None


def write_out(path: Path, text: str) -> None:
    """Write a file; where that fails, what was there before still is."""
    try:
        if _gets_its_name_last(path):
            write_atomic(path.resolve(), text)  # a link stays one
        else:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refused(path, error) from None


def _gets_its_name_last(path: Path) -> bool:
    """Not so a terminal, a pipe or /dev/null: they are written to, never replaced."""
    return path.is_file() or not path.exists()


def _refused(path: Path, error: OSError) -> ParameterError:
    return ParameterError(f"--out {path}: cannot be written ({error.strerror}); name another file")
