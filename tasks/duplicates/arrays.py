"""Arrays in files: written whole, read through memory maps."""

import math
import os
from collections.abc import Iterable, Sequence
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


def load_arrays(path: Path) -> list[Array]:
    """The arrays of a file of several; only what is looked at is read."""
    arrays: list[Array] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            start, num_bytes = file.tell(), dtype.itemsize * math.prod(shape)
            arrays.append(np.memmap(path, dtype, "r", start, shape) if num_bytes else np.zeros(shape, dtype))
            file.seek(num_bytes, os.SEEK_CUR)
    return arrays


def read_row(path: Path, index: int, shape: tuple[int, int], dtype: type) -> Array:
    """One row of the last array in a file, of known shape and type; a tenth of the time of a map for a short one."""
    row_bytes = shape[1] * np.dtype(dtype).itemsize
    start = path.stat().st_size - (shape[0] - index) * row_bytes
    return np.fromfile(path, dtype, shape[1], offset=start)


def create_array(path: Path, shape: tuple[int, ...], dtype: type) -> Array:
    """A file to be filled through a memory map; a plain array where it has no data, which is written at once."""
    if 0 in shape:
        save_array(path, np.zeros(shape, dtype))
        return np.zeros(shape, dtype)
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def joined(arrays: Iterable[Array], empty: Array) -> Array:
    """Arrays one after the other; `empty` where there are none."""
    return np.concatenate([empty, *arrays])
