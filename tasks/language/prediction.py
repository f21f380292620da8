"""Labels of texts by fastText's model, computed as fastText does but without the GIL."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.language.model import FNV_OFFSET, FNV_PRIME, MAX_GRAM, MIN_GRAM, NUM_BUCKETS, Floats, Model, Numbers, Rows
from tasks.text.buffers import Bytes
from tasks.text.kernels import BYTES, OFFSETS, Counts, kernel, subroutine

Doubles = npt.NDArray[np.float64]

_OPENING, _CLOSING = ord("<"), ord(">")
"""Stand before and after each word when its n-grams are taken."""
_TABLE = types.Array(types.float32, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 1, "C", readonly=True)
_PAIRS = types.Array(types.int32, 2, "C", readonly=True)
_MODEL = (_TABLE, _NUMBERS, _NUMBERS, BYTES, types.Array(types.uint16, 1, "C", readonly=True), _TABLE, _PAIRS)


class Predictions(NamedTuple):
    """The best label of each text and its probability, both of shape (texts,)."""

    labels: Counts
    probabilities: Doubles


def predict(model: Model, data: Bytes, starts: Counts, stops: Counts) -> Predictions:
    """The best label of each text data[start:stop], read as one line."""
    labels, probabilities = np.zeros(len(starts), np.int64), np.zeros(len(starts))
    _predict(
        data,
        starts,
        stops,
        model.rows,
        model.word_slots,
        model.word_starts,
        model.spelled,
        model.gram_rows,
        model.branches,
        model.children,
        labels,
        probabilities,
    )
    return Predictions(labels, probabilities)


@subroutine
def _is_space(byte: int) -> bool:
    return byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0


@subroutine
def _hash_on(state: int, byte: int) -> int:
    """FNV-1a with one more byte, taken for a signed number."""
    signed = byte | 0xFFFFFF00 if byte >= 0x80 else byte
    return ((state ^ signed) * FNV_PRIME) & 0xFFFFFFFF


@subroutine
def _find_word(data: Bytes, start: int, stop: int, slots: Numbers, starts: Numbers, spelled: Bytes) -> int:
    """Number of the word data[start:stop], or -1."""
    state = FNV_OFFSET
    for at in range(start, stop):
        state = _hash_on(state, int(data[at] & 0xFF))
    slot = state % slots.size
    while slots[slot] >= 0:
        word = slots[slot]
        begin, length = starts[word], starts[word + 1] - starts[word]
        if length == stop - start:
            index = 0
            while index < length and spelled[begin + index] == data[start + index]:
                index += 1
            if index == length:
                return int(word)
        slot = (slot + 1) % slots.size
    return -1


@subroutine
def _byte_at(data: Bytes, at: int, start: int, stop: int) -> int:
    """A byte of the word data[start:stop] with < before and > after it."""
    if at < start:
        return _OPENING
    return int(data[at] & 0xFF) if at < stop else _CLOSING


@subroutine
def _add_grams(data: Bytes, start: int, stop: int, rows: Floats, gram_rows: Rows, total: Floats) -> int:
    """Add the rows of the n-grams of a word; returns how many."""
    count = 0
    for begin in range(start - 1, stop + 1):
        if _byte_at(data, begin, start, stop) & 0xC0 == 0x80:
            continue
        state, at, length = FNV_OFFSET, begin, 0
        while at <= stop and length < MAX_GRAM:
            state = _hash_on(state, _byte_at(data, at, start, stop))
            at += 1
            while at < stop and data[at] & 0xC0 == 0x80:
                state = _hash_on(state, int(data[at] & 0xFF))
                at += 1
            length += 1
            if length >= MIN_GRAM:
                row = gram_rows[state % NUM_BUCKETS]
                if row > 0:
                    count += 1
                    for column in range(total.size):
                        total[column] += rows[row, column]
    return count


@subroutine
def _descend(total: Floats, branches: Floats, children: Numbers, nodes: Counts, scores: Doubles) -> tuple[int, float]:
    """The most probable leaf of the tree and its probability; nodes and scores are room for the way."""
    num_labels = children.shape[0] + 1
    best, best_score = 0, -math.inf
    nodes[0], scores[0], depth = 2 * num_labels - 2, 0.0, 1
    while depth > 0:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score <= best_score:
            continue
        if node < num_labels:
            best, best_score = node, score
            continue
        dot = np.float32(0)
        for column in range(total.size):
            dot += total[column] * branches[node - num_labels, column]
        right = 1 / (1 + math.exp(-dot))
        nodes[depth], scores[depth] = children[node - num_labels, 0], score + math.log(1 - right + 1e-5)
        nodes[depth + 1], scores[depth + 1] = children[node - num_labels, 1], score + math.log(right + 1e-5)
        depth += 2
    return best, math.exp(best_score)


@kernel(types.void(BYTES, OFFSETS, OFFSETS, *_MODEL, types.int64[::1], types.float64[::1]))
def _predict(
    data: Bytes,
    starts: Counts,
    stops: Counts,
    rows: Floats,
    word_slots: Numbers,
    word_starts: Numbers,
    spelled: Bytes,
    gram_rows: Rows,
    branches: Floats,
    children: Numbers,
    labels: Counts,
    probabilities: Doubles,
) -> None:
    total = np.empty(rows.shape[1], np.float32)
    nodes, scores = np.empty(2 * len(children) + 2, np.int64), np.empty(2 * len(children) + 2, np.float64)
    for text in range(starts.size):
        total[:] = rows[0]
        count = 1
        at, stop = starts[text], stops[text]
        while at < stop:
            if _is_space(data[at]):
                at += 1
                continue
            begin = at
            while at < stop and not _is_space(data[at]):
                at += 1
            word = _find_word(data, begin, at, word_slots, word_starts, spelled)
            if word >= 0:
                count += 1
                for column in range(total.size):
                    total[column] += rows[word, column]
            count += _add_grams(data, begin, at, rows, gram_rows, total)
        for column in range(total.size):
            total[column] /= np.float32(count)
        labels[text], probabilities[text] = _descend(total, branches, children, nodes, scores)
