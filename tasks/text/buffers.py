"""Arrow string columns as the arrays that the kernels read, and back, without copying."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


class Texts(NamedTuple):
    """Texts one after the other: text i is `data[offsets[i]:offsets[i + 1]]`, UTF-8."""

    data: Bytes
    offsets: Offsets

    @property
    def num_bytes(self) -> npt.NDArray[np.int64]:
        """Length of each text."""
        return np.diff(self.offsets)


def texts_of(column: pa.LargeStringArray) -> Texts:
    """The buffers of a column without nulls."""
    assert column.null_count == 0, "a text is never null"
    if len(column) == 0:
        return Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64))
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return Texts(np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), ends)


def column_of(texts: Texts) -> pa.LargeStringArray:
    """A column that stands on the same memory."""
    used = texts.data[: texts.offsets[-1]]
    return pa.LargeStringArray.from_buffers(len(texts.offsets) - 1, pa.py_buffer(texts.offsets), pa.py_buffer(used))
