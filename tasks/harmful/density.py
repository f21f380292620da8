"""How dense the words of a list stand in each text.

English words count as whole words only (Scunthorpe is a town), Chinese ones wherever they stand, the longest first.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from params.harmful import HarmfulParams
from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.kernels import BYTES, OFFSETS, Counts, kernel, subroutine
from tasks.text.phrases import Tree, build_tree

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Nodes = npt.NDArray[np.int32]

_CHARACTERS, _LISTED, _DIFFERENT = range(3)
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Density:
    """How much of each text is listed words; arrays have shape (documents,)."""

    per_thousand: Floats
    """Characters in listed words per 1,000 that are not blank."""
    different: Counts
    """Different listed words."""

    def exceeds(self, params: HarmfulParams) -> Flags:
        """Which texts are too dense."""
        return (self.different >= params.min_different) & (self.per_thousand > params.max_density)


def measure_harmful(column: pa.LargeStringArray, params: HarmfulParams) -> Density:
    """Density of listed words in every text."""
    tree = _tree(params.lists, params.extra_words, params.allowed_words)
    data, offsets = texts_of(column)
    counts = np.zeros((len(column), 3), np.int64)
    _count(data, offsets, tree.classes, tree.children, tree.ends, counts)
    listed, characters = counts[:, _LISTED], np.maximum(counts[:, _CHARACTERS], 1)
    return Density(1000 * listed / characters, counts[:, _DIFFERENT])


@lru_cache(maxsize=4)
def _tree(lists: tuple[str, ...], extra: tuple[str, ...], allowed: tuple[str, ...]) -> Tree:
    words = {word.lower() for name in lists for word in _read(_FOLDER / f"{name}.txt")}
    words |= {" ".join(word.lower().split()) for word in extra}
    tree = build_tree(sorted(words - {word.lower() for word in allowed} - {""}))
    tree.classes[ord("\n")] = tree.classes[ord(" ")]  # a phrase may go on in the next line
    return tree


def _read(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@subroutine
def _is_word(byte: int) -> bool:
    """An ASCII letter, digit or _, or the first byte of a Latin letter beyond ASCII."""
    return 0x61 <= (byte | 0x20) <= 0x7A or 0x30 <= byte <= 0x39 or byte == 0x5F or 0xC3 <= byte <= 0xCA


@subroutine
def _begins_word(data: Bytes, start: int, at: int) -> bool:
    """Whether no letter stands before, if an ASCII letter or digit stands here."""
    if data[at] >= 0x80 or at == start:
        return True
    if data[at - 1] < 0x80:
        return not _is_word(data[at - 1])
    return at - 2 < start or not 0xC3 <= data[at - 2] <= 0xCA


@subroutine
def _ends_word(data: Bytes, at: int, stop: int) -> bool:
    """Whether no letter follows, if the last byte before is an ASCII letter or digit."""
    return data[at - 1] >= 0x80 or at >= stop or not _is_word(data[at])


@kernel(types.void(BYTES, OFFSETS, types.uint8[::1], types.int32[:, ::1], types.int32[::1], types.int64[:, ::1]))
def _count(data: Bytes, offsets: Offsets, classes: Bytes, children: Nodes, ends: Nodes, counts: Counts) -> None:
    """Count characters, characters in listed words, and different listed words of each text."""
    seen_in = np.zeros(ends.size + 1, np.int64)
    firsts = children[0][classes]
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        covered = start
        for at in range(start, stop):
            byte = data[at]
            is_character = byte > 0x20 and byte & 0xC0 != 0x80
            counts[text, _CHARACTERS] += is_character
            if at < covered:
                counts[text, _LISTED] += is_character
                continue
            node = firsts[byte]
            if node == 0 or not is_character or not _begins_word(data, start, at):
                continue
            word, after = 0, at + 1
            while node != 0:
                if ends[node] != 0 and _ends_word(data, after, stop):
                    word, covered = ends[node], after
                if after >= stop:
                    break
                node = children[node, classes[data[after]]]
                after += 1
            if word != 0:
                counts[text, _LISTED] += 1
                if seen_in[word] != text + 1:
                    seen_in[word] = text + 1
                    counts[text, _DIFFERENT] += 1
