"""Full-width digits, letters and marks as ASCII, with the way back to where they stood."""

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts
from tasks.text.kernels import BYTES, MUTABLE_BYTES, MUTABLE_OFFSETS, OFFSETS, Counts, kernel

Flags = npt.NDArray[np.bool_]


def is_wide(texts: Texts) -> Flags:
    """Which texts hold full-width digits or letters, or the full-width @ or +."""
    found = np.zeros(len(texts.offsets) - 1, np.bool_)
    _find_wide(texts.data, texts.offsets, found)
    return found


def fold(text: Bytes) -> tuple[Texts, Counts]:
    """One text with U+FF01 to U+FF5E as ASCII, and for each byte, and for the end, the byte where it stood."""
    data, positions = np.empty(text.size, np.uint8), np.empty(text.size + 1, np.int64)
    length = _fold(text, data, positions)
    return Texts(data[:length], np.array([0, length])), positions[: length + 1]


@kernel(types.void(BYTES, OFFSETS, types.bool_[::1]))
def _find_wide(data: Bytes, offsets: Offsets, found: Flags) -> None:
    for text in range(offsets.size - 1):
        for at in range(offsets[text], offsets[text + 1] - 2):
            if data[at] != 0xEF or not 0xBC <= data[at + 1] <= 0xBD:
                continue
            code = (data[at + 1] & 0x01) << 6 | data[at + 2] & 0x3F
            if 0x10 <= code <= 0x19 or 0x20 <= code <= 0x3A or 0x41 <= code <= 0x5A or code == 0x0B:
                found[text] = True
                break


@kernel(types.int64(BYTES, MUTABLE_BYTES, MUTABLE_OFFSETS))
def _fold(text: Bytes, data: Bytes, positions: Counts) -> int:
    """Fill in the folded bytes and where they stood; returns how many there are."""
    length = at = 0
    while at < text.size:
        positions[length] = at
        data[length] = text[at]
        if text[at] == 0xEF and at + 2 < text.size and 0xBC <= text[at + 1] <= 0xBD:
            code = (text[at + 1] & 0x01) << 6 | text[at + 2] & 0x3F
            if 0x01 <= code <= 0x5E:
                data[length] = code + 0x20
                at += 2
        at += 1
        length += 1
    positions[length] = at
    return length
