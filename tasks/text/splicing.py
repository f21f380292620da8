"""Parts of texts replaced by other bytes."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tasks.text.buffers import Texts, column_of


class Replacement(NamedTuple):
    """Bytes data[start:stop], inside one text, and what comes in their place."""

    text: int
    start: int
    stop: int
    made: bytes


def splice(texts: Texts, replacements: Iterable[Replacement]) -> pa.LargeStringArray:
    """Texts with replacements made; they come in order and do not overlap."""
    data = texts.data.data
    first, last = int(texts.offsets[0]), int(texts.offsets[-1])
    pieces: list[bytes | memoryview] = []
    growth = np.zeros(len(texts.offsets), np.int64)
    at = first
    for text, start, stop, made in replacements:
        pieces += [data[at:start], made]
        growth[text + 1] += len(made) - (stop - start)
        at = stop
    pieces.append(data[at:last])
    return column_of(Texts(np.frombuffer(b"".join(pieces), np.uint8), texts.offsets - first + np.cumsum(growth)))
