"""Which rows of examples a phase has learned from, told by hashes, so that new ones are seen among them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = "rows.npy"
"""The hashes of all rows that could be used, each once, in order."""
Hashes = npt.NDArray[np.uint64]


def hash_row(row: Any) -> int:
    """A hash of what a row says: the order of its keys and the file that it stands in do not matter."""
    import xxhash

    return xxhash.xxh3_64_intdigest(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str).encode())


def write_hashes(path: Path, hashes: Iterable[int]) -> None:
    """Hashes of rows, each once, in order."""
    np.save(path, np.unique(np.fromiter(hashes, np.uint64)), allow_pickle=False)


def read_hashes(paths: Iterable[Path]) -> Hashes:
    """The hashes of several files, each once, in order."""
    parts = [np.load(path, allow_pickle=False) for path in paths]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def count_new(present: Hashes, known: Hashes) -> int:
    """Rows that are among the one and not among the other."""
    return len(np.setdiff1d(present, known, assume_unique=True))
