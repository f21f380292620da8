"""Kernels of BPE training: the most frequent pair of neighbours becomes a token, again and again (Sennrich 2016)."""

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.kernels import MUTABLE_OFFSETS, OFFSETS, kernel, subroutine
from tasks.tokenizer.lattice import NONE, Ints, slot_of

Positions = npt.NDArray[np.int32]

DONE, FULL = 0, 1
_MUTABLE_POSITIONS = types.int32[::1]
_SHIFT = 32
_MASK = (1 << _SHIFT) - 1
_POSITIVE = (1 << 63) - 1
HASH_BASE = 0x100000001B3


class Sequences(NamedTuple):
    """Words as chains of tokens; position i is the i-th byte of all words end to end."""

    tokens: Positions
    """Token that begins at each position; NONE inside a token."""
    following: Positions
    """Where the next token of the word begins, or NONE."""
    preceding: Positions
    word_of: Positions


class Index(NamedTuple):
    """Pairs of neighbouring tokens, in an open hash table, each with its count and the chain of its positions."""

    keys: Ints
    """left << 32 | right, or NONE in an empty slot."""
    counts: Ints
    first: Positions
    later: Positions
    """By position: the next of the same pair, or NONE."""
    earlier: Positions
    used: Ints
    """used[0] slots are taken."""


class Merges(NamedTuple):
    """What was learned so far: merge m joins left[m] and right[m] to token made[m]; done[0] of them, done[1] tokens."""

    left: Positions
    right: Positions
    made: Positions
    done: Ints
    hashes: Ints
    """Of each token's bytes."""
    powers: Ints
    """HASH_BASE to the power of each token's length."""
    known: Ints
    """Hash table of the tokens' hashes …"""
    token_of: Positions
    """… and the token of each."""


@subroutine
def key_of(left: int, right: int) -> int:
    """A pair as one number, ordered as pairs are."""
    return int(np.int64(left) << _SHIFT | np.int64(right))


@subroutine
def slot_for(index: Index, pair: int) -> int:
    """The slot of a pair, taken for it if it is new."""
    slot = slot_of(index.keys, pair)
    if index.keys[slot] == NONE:
        index.keys[slot] = pair
        index.used[0] += 1
    return slot


@subroutine
def link(index: Index, slot: int, at: int, weight: int) -> None:
    """Count a position in, in front of the chain of a pair."""
    head = index.first[slot]
    index.later[at], index.earlier[at] = head, NONE
    if head != NONE:
        index.earlier[head] = at
    index.first[slot] = at
    index.counts[slot] += weight


@subroutine
def unlink(index: Index, slot: int, at: int, weight: int) -> None:
    """Take a position out of the chain of a pair."""
    before, after = index.earlier[at], index.later[at]
    if before == NONE:
        index.first[slot] = after
    else:
        index.later[before] = after
    if after != NONE:
        index.earlier[after] = before
    index.counts[slot] -= weight


@subroutine
def positions_of(index: Index, slot: int) -> Positions:
    """Where a pair is, in any order."""
    num = 0
    at = index.first[slot]
    while at != NONE:
        num += 1
        at = index.later[at]
    found = np.empty(num, np.int32)
    at = index.first[slot]
    for place in range(num):
        found[place] = at
        at = index.later[at]
    return found


@subroutine
def token_of_pair(merges: Merges, left: int, right: int) -> int:
    """Note a merge; its token, which is an old one where other merges spell the same bytes."""
    content = merges.hashes[left] * merges.powers[right] + merges.hashes[right]
    home = slot_of(merges.known, content & _POSITIVE)
    done = merges.done
    if merges.known[home] == NONE:
        merges.known[home] = content & _POSITIVE
        merges.token_of[home] = done[1]
        merges.hashes[done[1]] = content
        merges.powers[done[1]] = merges.powers[left] * merges.powers[right]
        done[1] += 1
    new = int(merges.token_of[home])
    merges.left[done[0]], merges.right[done[0]], merges.made[done[0]] = left, right, new
    done[0] += 1
    return new


@subroutine
def join(sequences: Sequences, index: Index, at: int, new: int, weight: int) -> tuple[int, int]:
    """Make one token of the pair at a position; the pairs it then forms with its neighbours, or NONE."""
    tokens, following = sequences.tokens, sequences.following
    second, before = following[at], sequences.preceding[at]
    after, left, right = following[second], tokens[at], tokens[second]
    unlink(index, slot_of(index.keys, key_of(left, right)), at, weight)
    if before != NONE:
        unlink(index, slot_of(index.keys, key_of(tokens[before], left)), before, weight)
    if after != NONE:
        unlink(index, slot_of(index.keys, key_of(right, tokens[after])), second, weight)
        sequences.preceding[after] = at
    tokens[at], tokens[second], following[at] = new, NONE, after
    to_left = to_right = NONE
    if before != NONE:
        to_left = key_of(tokens[before], new)
        link(index, slot_for(index, to_left), before, weight)
    if after != NONE:
        to_right = key_of(new, tokens[after])
        link(index, slot_for(index, to_right), at, weight)
    return to_left, to_right


@subroutine
def index_pairs(sequences: Sequences, word_counts: Ints, index: Index) -> bool:
    """Count and chain all pairs; whether the table was large enough."""
    for at in range(sequences.tokens.size - 1, -1, -1):
        second = sequences.following[at]
        if sequences.tokens[at] == NONE or second == NONE:
            continue
        if index.used[0] >= index.keys.size // 2:
            return False
        slot = slot_for(index, key_of(sequences.tokens[at], sequences.tokens[second]))
        link(index, slot, at, word_counts[sequences.word_of[at]])
    return True


@kernel(
    types.int64(
        *[_MUTABLE_POSITIONS] * 4, OFFSETS,
        MUTABLE_OFFSETS, MUTABLE_OFFSETS, *[_MUTABLE_POSITIONS] * 3, MUTABLE_OFFSETS,
        *[_MUTABLE_POSITIONS] * 3, *[MUTABLE_OFFSETS] * 4, _MUTABLE_POSITIONS,
        types.int64,
    )
)  # fmt: skip
def merge_pairs(
    tokens: Positions, following: Positions, preceding: Positions, word_of: Positions, word_counts: Ints,
    keys: Ints, counts: Ints, first: Positions, later: Positions, earlier: Positions, used: Ints,
    left: Positions, right: Positions, made: Positions, done: Ints, hashes: Ints, powers: Ints, known: Ints,
    token_of: Positions,
    min_frequency: int,
) -> int:  # fmt: skip
    """Index all pairs, then merge until the vocabulary is full or no pair is frequent: DONE, or FULL for the table.

    Takes the fields of Sequences, Index and Merges. Of equally frequent pairs the one of the lower ids comes first, as
    in `tokenizers`.
    """
    sequences = Sequences(tokens, following, preceding, word_of)
    index = Index(keys, counts, first, later, earlier, used)
    merges = Merges(left, right, made, done, hashes, powers, known, token_of)
    if not index_pairs(sequences, word_counts, index):
        return FULL
    heap = [(-counts[slot], keys[slot]) for slot in range(keys.size) if keys[slot] != NONE]
    heapq.heapify(heap)
    while heap and done[1] < hashes.size and done[0] < left.size:
        count, pair = heapq.heappop(heap)
        slot = slot_of(keys, pair)
        if counts[slot] != -count:  # merges of other pairs have changed it since
            heapq.heappush(heap, (-counts[slot], pair))
            continue
        if -count < max(min_frequency, 1):
            break
        positions = positions_of(index, slot)
        if used[0] + 2 * positions.size > keys.size // 2:
            return FULL
        new = token_of_pair(merges, pair >> _SHIFT, pair & _MASK)
        positions.sort()  # "aaa" is read from the left
        formed = {NONE}
        for at in positions:
            if tokens[at] != NONE and following[at] != NONE and key_of(tokens[at], tokens[following[at]]) == pair:
                formed.update(join(sequences, index, at, new, word_counts[word_of[at]]))
        counts[slot] = 0
        for other in formed:
            if other != NONE:
                heapq.heappush(heap, (-counts[slot_of(keys, other)], other))
    return DONE
