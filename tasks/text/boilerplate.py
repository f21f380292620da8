"""Texts without lines that are furniture of a page: consent, navigation, footers, registration numbers.

A kernel finds short lines that hold a cue, regular expressions judge those; comes after normalization.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from params.boilerplate import BoilerplateParams
from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.kernels import BYTES, OFFSETS, Counts, kernel, subroutine
from tasks.text.phrases import Tree, build_automaton
from tasks.text.splicing import Replacement, splice

Nodes = npt.NDArray[np.int32]

_LF = 0x0A


@dataclass(frozen=True)
class Pruned:
    """Texts and what they lost; arrays have shape (documents,)."""

    column: pa.LargeStringArray
    lines_dropped: Counts
    bytes_dropped: Counts
    """Their bytes, line ends included."""


def drop_lines(column: pa.LargeStringArray, params: BoilerplateParams) -> Pruned:
    """Every text without its lines of boilerplate."""
    texts = texts_of(column)
    tree, pattern = _compiled(params)
    lines = np.empty((int(texts.offsets[-1] - texts.offsets[0]), 3), np.int64)
    count = _find_lines(texts.data, texts.offsets, tree.classes, tree.children, tree.ends, params.max_characters, lines)
    lines_dropped, bytes_dropped = np.zeros((2, len(column)), np.int64)
    replacements = []
    for text, start, stop in lines[:count].tolist():
        if pattern.fullmatch(texts.data[start:stop].tobytes().decode().strip()):
            end = min(stop + 1, int(texts.offsets[text + 1]))
            lines_dropped[text] += 1
            bytes_dropped[text] += end - start
            replacements.append(Replacement(text, start, end, b""))
    return Pruned(splice(texts, replacements) if replacements else column, lines_dropped, bytes_dropped)


@lru_cache(maxsize=4)
def _compiled(params: BoilerplateParams) -> tuple[Tree, re.Pattern[str]]:
    """The automaton of all cues and one expression of all patterns."""
    cues = sorted({cue for line in params.lines for cue in line.cues})
    patterns = "|".join(f"(?:{line.pattern})" for line in params.lines)
    return build_automaton(cues), re.compile(patterns or r"(?!)", re.IGNORECASE)


@subroutine
def _holds_cue(data: Bytes, at: int, end: int, classes: Bytes, children: Nodes, ends: Nodes) -> bool:
    """Whether the automaton finds a cue in the line."""
    node = 0
    while at < end:
        node = children[node, classes[data[at]]]
        if ends[node] != 0:
            return True
        at += 1
    return False


@kernel(
    types.int64(
        BYTES,
        OFFSETS,
        types.uint8[::1],
        types.int32[:, ::1],
        types.int32[::1],
        types.int64,
        types.int64[:, ::1],
    )
)
def _find_lines(
    data: Bytes,
    offsets: Offsets,
    classes: Bytes,
    children: Nodes,
    ends: Nodes,
    most: int,
    lines: Counts,
) -> int:
    """Fill in text, start and stop of each line that is short and holds a cue; returns how many."""
    count = 0
    for text in range(offsets.size - 1):
        begin, stop = offsets[text], offsets[text + 1]
        while begin < stop:
            end, characters = begin, 0
            while end < stop and data[end] != _LF:
                characters += data[end] & 0xC0 != 0x80
                end += 1
            if characters <= most and _holds_cue(data, begin, end, classes, children, ends):
                lines[count, 0], lines[count, 1], lines[count, 2] = text, begin, end
                count += 1
            begin = end + 1
    return count
