"""Training a byte-level BPE tokenizer: every string round-trips and there is no unknown token.

The merges are those of `tokenizers`, learned in a sixth of its memory.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models

from params.train_tokenizer import NUM_BYTES, Digits
from tasks.tokenizer.counting import Words
from tasks.tokenizer.lattice import NONE
from tasks.tokenizer.merging import FULL, HASH_BASE, Index, Merges, Sequences, merge_pairs
from tasks.tokenizer.special import DEFAULT_TOKENS, SpecialTokens
from tasks.tokenizer.vocabulary import byte_alphabet
from tasks.tokenizer.words import encoding_words

_LEAST_SLOTS = 1 << 16


def train_bpe(
    batches: Iterable[list[str]],
    *,
    vocab_size: int,
    min_frequency: int,
    digits: Digits = "single",
    special: SpecialTokens = DEFAULT_TOKENS,
) -> Tokenizer:
    """Learn merges from batches of texts; the same texts, in any order, give the same vocabulary.

    Special tokens have the first ids, then come the bytes, then the merges.
    """
    characters = sorted(byte_alphabet())
    merges = learn_merges(
        Words.count(batches, digits), num_tokens=vocab_size - len(special.all), min_frequency=min_frequency
    )
    spelled = list(characters)
    pairs = []
    for left, right, made in merges:
        if made == len(spelled):
            spelled.append(spelled[left] + spelled[right])
        pairs.append((spelled[left], spelled[right]))
    vocabulary = {token: index for index, token in enumerate((*special.all, *spelled))}
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = encoding_words(digits)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def learn_merges(words: Words, *, num_tokens: int, min_frequency: int) -> list[tuple[int, int, int]]:
    """Pairs of tokens to merge with the token they make, in order.

    The first 256 tokens are the bytes in the order of their characters in the byte-level alphabet, which is how
    `tokenizers` numbers them, and decides between equally frequent pairs.
    """
    sequences, merges = _sequences(words), _room(num_tokens)
    slots = max(_LEAST_SLOTS, 1 << len(words.data).bit_length())
    while True:
        index = _index(len(words.data), slots)
        arguments: tuple[Any, ...] = (*sequences, words.counts, *index, *merges, min_frequency)
        if merge_pairs(*arguments) != FULL:
            break
        slots *= 2
    columns = (column[: merges.done[0]].tolist() for column in (merges.left, merges.right, merges.made))
    return list(zip(*columns, strict=True))


def _sequences(words: Words) -> Sequences:
    """One token a byte."""
    alphabet = byte_alphabet()
    ranks = np.zeros(NUM_BYTES, np.int32)
    for rank, character in enumerate(sorted(alphabet)):
        ranks[alphabet[character]] = rank
    positions = np.arange(len(words.data), dtype=np.int32)
    following, preceding = positions + np.int32(1), positions - np.int32(1)
    following[words.bounds[1:] - 1] = NONE
    preceding[words.bounds[:-1]] = NONE
    word_of = np.repeat(np.arange(len(words.counts), dtype=np.int32), np.diff(words.bounds))
    return Sequences(ranks[words.data], following, preceding, word_of)


def _index(size: int, slots: int) -> Index:
    return Index(
        keys=np.full(slots, NONE, np.int64),
        counts=np.zeros(slots, np.int64),
        first=np.full(slots, NONE, np.int32),
        later=np.empty(size, np.int32),
        earlier=np.empty(size, np.int32),
        used=np.zeros(1, np.int64),
    )


def _room(num_tokens: int) -> Merges:
    """No merge yet, and the bytes."""
    left, right, made = (np.empty(2 * num_tokens, np.int32) for _ in range(3))
    hashes, powers = np.zeros(num_tokens, np.int64), np.zeros(num_tokens, np.int64)
    hashes[:NUM_BYTES], powers[:NUM_BYTES] = np.arange(1, NUM_BYTES + 1), HASH_BASE
    slots = 1 << (4 * num_tokens).bit_length()
    known, token_of = np.full(slots, NONE, np.int64), np.zeros(slots, np.int32)
    return Merges(left, right, made, np.array([0, NUM_BYTES], np.int64), hashes, powers, known, token_of)
