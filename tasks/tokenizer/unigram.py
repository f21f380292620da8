"""Training a unigram tokenizer over bytes (Kudo 2018): every string round-trips and the result is always the same.

The trainer of `tokenizers` adds up probabilities in an order that changes from run to run, so that neither its scores
nor its choice of pieces can be had twice.
"""

import math
from collections.abc import Iterable
from itertools import accumulate

import numpy as np
from tokenizers import Tokenizer, decoders, models

from params.train_tokenizer import NUM_BYTES, Digits
from tasks.tokenizer.counting import Words
from tasks.tokenizer.lattice import Bytes, Floats, Ints, best_without, build_trie, expect
from tasks.tokenizer.special import DEFAULT_TOKENS, SpecialTokens
from tasks.tokenizer.vocabulary import byte_alphabet
from tasks.tokenizer.words import byte_words

_MAX_PIECE_CHARACTERS = 16
"""As in SentencePiece."""
_SEEDS_PER_PIECE = 16
_KEPT_SHARE = 0.75
"""Of the pieces, after each round (SentencePiece's shrinking factor)."""
_EM_STEPS = 2
_DECIMALS = 6
_LEAST_COUNT = 0.5


def train_unigram(
    batches: Iterable[list[str]],
    *,
    vocab_size: int,
    min_frequency: int,
    digits: Digits = "single",
    special: SpecialTokens = DEFAULT_TOKENS,
) -> Tokenizer:
    """Learn pieces from batches of texts; the same texts, in any order, give the same vocabulary.

    The bytes have the first ids, then come pieces by falling score; special tokens are left to be added, so that no
    text can spell one.
    """
    words = Words.count(batches, digits)
    pieces = [bytes([byte]) for byte in range(NUM_BYTES)]
    wanted = vocab_size - len(special.all)
    seeds, frequencies = find_seeds(words, min_frequency=max(min_frequency, 2), limit=_SEEDS_PER_PIECE * wanted)
    pieces += seeds
    counts = np.concatenate([np.maximum(words.byte_counts(), 1), frequencies]).astype(np.float64)
    scores = _log_shares(counts)
    while True:
        for _ in range(_EM_STEPS):
            counts = expected_counts(words, pieces, scores)
            scores = _log_shares(counts)
        if len(pieces) <= wanted:
            break
        kept = _prune(pieces, scores, counts, max(wanted, int(_KEPT_SHARE * len(pieces))))
        pieces, scores = [pieces[index] for index in kept], scores[kept]
    return _tokenizer(pieces, scores, digits)


def find_seeds(words: Words, *, min_frequency: int, limit: int) -> tuple[list[bytes], Ints]:
    """Strings of whole characters inside words, with their counts: those that cover most text, two bytes or more."""
    starts = np.flatnonzero((words.data & 0xC0) != 0x80)  # where characters begin
    ends = np.append(starts[1:], len(words.data))
    word_of = np.searchsorted(words.bounds, starts, side="right") - 1
    last = words.bounds[word_of + 1]
    at = np.arange(len(starts))
    hashes = np.zeros(len(starts), np.uint64)
    found: list[tuple[int, bytes, int]] = []
    for size in range(1, _MAX_PIECE_CHARACTERS + 1):
        at = at[at + size <= len(starts)]
        at = at[ends[at + size - 1] <= last[at]]
        for offset in range(1, 5):  # a character has up to four bytes
            inside = at[starts[at + size - 1] + offset <= ends[at + size - 1]]
            hashes[inside] = (hashes[inside] ^ words.data[starts[inside + size - 1] + offset - 1]) * np.uint64(
                0x100000001B3
            )
        at, first, counts = _repeated(at, hashes[at], words.counts[word_of[at]], min_frequency)
        begin, end = starts[first], ends[first + size - 1]
        found += [
            (-size * count, words.data[b:e].tobytes(), count)
            for b, e, count in zip(begin.tolist(), end.tolist(), counts.tolist(), strict=True)
            if e - b > 1
        ]
    found.sort()
    return [piece for _, piece, _ in found[:limit]], np.array([count for _, _, count in found[:limit]], np.int64)


def expected_counts(words: Words, pieces: list[bytes], scores: Floats) -> Floats:
    """How often each piece occurs in the words, over all ways to cut them by their probability."""
    data, bounds = _joined(pieces)
    room = int(np.diff(words.bounds).max(initial=0)) + 1
    expected = np.zeros(len(pieces))
    buffers = np.empty(room), np.empty(room), expected
    expect(words.data, words.bounds, words.counts, *build_trie(data, bounds), scores, *buffers)
    return expected


def _prune(pieces: list[bytes], scores: Floats, counts: Floats, size: int) -> Ints:
    """Indices of the bytes and of the pieces without which the text would be least likely, in their old order."""
    data, bounds = _joined(pieces)
    alternatives = np.empty(len(pieces))
    room = np.empty(max(map(len, pieces)) + 1)
    best_without(data, bounds, *build_trie(data, bounds), scores, room, alternatives)
    alternatives[:NUM_BYTES] = -math.inf
    loss = np.round(np.maximum(counts, _LEAST_COUNT) * (scores - alternatives), _DECIMALS)
    ranked = sorted(range(len(pieces)), key=lambda index: (-loss[index], pieces[index]))
    return np.array(sorted(ranked[:size]), np.int64)


def _repeated(at: Ints, hashes: "np.typing.NDArray[np.uint64]", counts: Ints, least: int) -> tuple[Ints, Ints, Ints]:
    """Of strings by position, hash and count: the positions of those found often enough; each one's first, and sum."""
    order = np.argsort(hashes, kind="stable")
    changes = np.flatnonzero(np.diff(hashes[order])) + 1
    groups = np.concatenate([[0], changes]).astype(np.int64)[: len(order)]
    sums = np.add.reduceat(counts[order], groups) if len(order) else np.empty(0, np.int64)
    often = sums >= least
    staying = np.repeat(often, np.diff(np.append(groups, len(order))))
    return np.sort(at[order[staying]]), at[order[groups[often]]], sums[often]


def _log_shares(counts: Floats) -> Floats:
    floored = np.maximum(counts, _LEAST_COUNT)
    shares: Floats = np.log(floored / floored.sum())
    return shares


def _joined(pieces: list[bytes]) -> tuple[Bytes, Ints]:
    bounds = np.array([0, *accumulate(map(len, pieces))], np.int64)
    return np.frombuffer(b"".join(pieces), np.uint8), bounds


def _tokenizer(pieces: list[bytes], scores: Floats, digits: Digits) -> Tokenizer:
    characters = {byte: character for character, byte in byte_alphabet().items()}
    rounded = np.round(scores, _DECIMALS).tolist()
    learned = sorted(zip(pieces[NUM_BYTES:], rounded[NUM_BYTES:], strict=True), key=lambda item: (-item[1], item[0]))
    entries = [*zip(pieces[:NUM_BYTES], rounded, strict=False), *learned]
    spelled = [("".join(characters[byte] for byte in piece), score) for piece, score in entries]
    tokenizer = Tokenizer(models.Unigram(spelled, unk_id=None, byte_fallback=False))
    tokenizer.pre_tokenizer = byte_words(digits)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
