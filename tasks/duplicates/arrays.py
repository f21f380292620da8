"""Arrays in files: written whole, read through memory maps."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.artifacts.digest import commit_in_draft

Array = npt.NDArray[Any]

_ALIGNMENT = 64
"""Arrays in a file begin at its multiples, as .npy does for the data after its header."""
_EMPTY_BYTES = 128
"""An .npy file of this size has a header and no data, which cannot be mapped."""


def save_array(path: Path, array: Array) -> None:
    """Write an array to a file that appears, whole, at the end."""
    save_arrays(path, [array])


def load_array(path: Path) -> Array:
    """The array of a file; only what is looked at is read."""
    array: Array = np.load(path, mmap_mode="r") if path.stat().st_size > _EMPTY_BYTES else np.load(path)
    return array


def save_arrays(path: Path, arrays: Sequence[Array]) -> None:
    """Write several arrays to one file: to sync and to remove a file takes milliseconds, whatever its size."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        for array in arrays:
            file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
            np.save(file, np.ascontiguousarray(array))
    commit_in_draft(temporary, path)


@dataclass(frozen=True)
class StoredArray:
    """An array of a file of several."""

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self) -> Array:
        """All of it, into memory."""
        return np.fromfile(self.path, self.dtype, math.prod(self.shape), offset=self.start).reshape(self.shape)

    def read_row(self, index: int) -> Array:
        """One row; a tenth of the time of a map for a short one."""
        length = math.prod(self.shape[1:])
        start = self.start + index * length * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, length, offset=start).reshape(self.shape[1:])

    def map(self) -> Array:
        """As a memory map: only what is looked at is read."""
        return np.memmap(self.path, self.dtype, "r", self.start, self.shape) if 0 not in self.shape else self.read()


def stored_arrays(path: Path) -> list[StoredArray]:
    """The arrays of a file of several."""
    found: list[StoredArray] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            found.append(StoredArray(path, file.tell(), shape, dtype))
            file.seek(dtype.itemsize * math.prod(shape), os.SEEK_CUR)
    return found


def create_array(path: Path, shape: tuple[int, ...], dtype: type) -> Array:
    """A file to be filled through a memory map; a plain array where it has no data, which is written at once."""
    if 0 in shape:
        save_array(path, np.zeros(shape, dtype))
        return np.zeros(shape, dtype)
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def joined(arrays: Iterable[Array], empty: Array) -> Array:
    """Arrays one after the other; `empty` where there are none."""
    return np.concatenate([empty, *arrays])
