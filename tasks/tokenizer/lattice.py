"""Kernels of the unigram model: every way to cut a word into pieces, weighed (Kudo 2018, section 3.2)."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.kernels import BYTES, MUTABLE_OFFSETS, OFFSETS, kernel, subroutine

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NONE = -1
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_MUTABLE_FLOATS = types.float64[::1]
_MULTIPLIER = 0x9E3779B97F4A7C15
"""Fibonacci hashing: 2^64 over the golden ratio."""


class Trie(NamedTuple):
    """Pieces by their bytes, in an open hash table from (node, byte) to node; the root is node 0."""

    keys: Ints
    """node * 256 + byte, or NONE in an empty slot; a power of two of slots."""
    nodes: Ints
    piece_at: Ints
    """Piece that ends at each node, or NONE."""


def build_trie(data: Bytes, bounds: Ints) -> Trie:
    """The trie of pieces: piece i is data[bounds[i]:bounds[i + 1]]."""
    slots = 1 << (2 * len(data) + 1).bit_length()
    keys, nodes = np.full(slots, NONE, np.int64), np.zeros(slots, np.int64)
    piece_at = np.full(len(data) + 1, NONE, np.int64)
    num_nodes = _fill_trie(data, bounds, keys, nodes, piece_at)
    return Trie(keys, nodes, piece_at[:num_nodes])


@subroutine
def slot_of(keys: Ints, key: int) -> int:
    """Where a key is, or would be put."""
    mask = np.uint64(keys.size - 1)
    slot = (np.uint64(key) * np.uint64(_MULTIPLIER) >> np.uint64(20)) & mask
    while keys[slot] != NONE and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return int(slot)


@kernel(types.int64(BYTES, OFFSETS, MUTABLE_OFFSETS, MUTABLE_OFFSETS, MUTABLE_OFFSETS))
def _fill_trie(data: Bytes, bounds: Ints, keys: Ints, nodes: Ints, piece_at: Ints) -> int:
    num_nodes = 1
    for piece in range(bounds.size - 1):
        node = 0
        for at in range(bounds[piece], bounds[piece + 1]):
            key = node * 256 + data[at]
            slot = slot_of(keys, key)
            if keys[slot] == NONE:
                keys[slot] = key
                nodes[slot] = num_nodes
                num_nodes += 1
            node = nodes[slot]
        piece_at[node] = piece
    return num_nodes


@subroutine
def log_add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


@kernel(
    types.float64(
        BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, OFFSETS, _FLOATS, _MUTABLE_FLOATS, _MUTABLE_FLOATS, _MUTABLE_FLOATS
    )
)
def expect(
    data: Bytes,
    bounds: Ints,
    counts: Ints,
    keys: Ints,
    nodes: Ints,
    piece_at: Ints,
    scores: Floats,
    forward: Floats,
    backward: Floats,
    expected: Floats,
) -> float:
    """Add the expected count of each piece in the words to `expected`; the log-likelihood of the words.

    Word i is data[bounds[i]:bounds[i + 1]] and occurs counts[i] times; `forward` and `backward` have room for the
    longest word and one more. Every byte must be a piece.
    """
    likelihood = 0.0
    for word in range(counts.size):
        start, size = bounds[word], bounds[word + 1] - bounds[word]
        forward[: size + 1] = -math.inf
        backward[: size + 1] = -math.inf
        forward[0] = backward[size] = 0.0
        for begin in range(size):
            node = 0
            for end in range(begin, size):
                slot = slot_of(keys, node * 256 + data[start + end])
                if keys[slot] == NONE:
                    break
                node = nodes[slot]
                piece = piece_at[node]
                if piece != NONE:
                    forward[end + 1] = log_add(forward[end + 1], forward[begin] + scores[piece])
        for begin in range(size - 1, -1, -1):
            node = 0
            for end in range(begin, size):
                slot = slot_of(keys, node * 256 + data[start + end])
                if keys[slot] == NONE:
                    break
                node = nodes[slot]
                piece = piece_at[node]
                if piece != NONE:
                    through = scores[piece] + backward[end + 1]
                    backward[begin] = log_add(backward[begin], through)
                    expected[piece] += counts[word] * math.exp(forward[begin] + through - forward[size])
        likelihood += counts[word] * forward[size]
    return likelihood


@kernel(types.void(BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, _FLOATS, _MUTABLE_FLOATS, _MUTABLE_FLOATS))
def best_without(
    data: Bytes,
    bounds: Ints,
    keys: Ints,
    nodes: Ints,
    piece_at: Ints,
    scores: Floats,
    best: Floats,
    alternatives: Floats,
) -> None:
    """The score of the best way to spell each piece by others; `best` has room for the longest and one more."""
    for whole in range(bounds.size - 1):
        start, size = bounds[whole], bounds[whole + 1] - bounds[whole]
        best[: size + 1] = -math.inf
        best[0] = 0.0
        for begin in range(size):
            node = 0
            for end in range(begin, size):
                slot = slot_of(keys, node * 256 + data[start + end])
                if keys[slot] == NONE:
                    break
                node = nodes[slot]
                piece = piece_at[node]
                if piece != NONE and piece != whole:
                    best[end + 1] = max(best[end + 1], best[begin] + scores[piece])
        alternatives[whole] = best[size]
