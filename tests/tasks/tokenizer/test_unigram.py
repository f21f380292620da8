"""The unigram trainer, against its definition."""

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tokenizer.counting import Words
from tasks.tokenizer.special import SpecialTokens
from tasks.tokenizer.unigram import expected_counts, find_seeds, train_unigram

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 3,
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 2,
]


def segmentations(word: bytes, pieces: list[bytes]) -> list[list[int]]:
    if not word:
        return [[]]
    heads = [index for index, piece in enumerate(pieces) if word.startswith(piece)]
    return [[head, *rest] for head in heads for rest in segmentations(word[len(pieces[head]) :], pieces)]


@given(st.lists(st.text("ab光", min_size=1, max_size=5), min_size=1, max_size=4))
def test_expected_counts_are_those_of_adding_up_every_segmentation(words):
    pieces = [bytes([byte]) for byte in range(256)] + [b"ab", b"aba", "光".encode(), b"ba"]
    scores = np.log(np.linspace(1, 2, len(pieces)) / 300)
    encoded = [(word.encode(), count + 1) for count, word in enumerate(words)]
    expected = np.zeros(len(pieces))
    for word, count in encoded:
        ways = segmentations(word, pieces)
        weights = [math.exp(sum(scores[index] for index in way)) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            np.add.at(expected, way, count * weight / sum(weights))
    assert expected_counts(Words(encoded), pieces, scores) == pytest.approx(expected)


@given(st.lists(st.text("ab光 ", max_size=8), max_size=6))
def test_seeds_are_the_repeated_strings_of_whole_characters(texts):
    words = Words([(text.encode(), 1 + index % 2) for index, text in enumerate(texts) if text])
    found: dict[bytes, int] = {}
    for index, text in enumerate(texts):
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                piece = text[start:end].encode()
                found[piece] = found.get(piece, 0) + 1 + index % 2
    expected = {piece: count for piece, count in found.items() if count >= 2 and len(piece) > 1}
    seeds, counts = find_seeds(words, min_frequency=2, limit=10_000)
    assert dict(zip(seeds, counts.tolist(), strict=True)) == expected


def test_a_limit_keeps_the_seeds_that_cover_most_characters():
    words = Words([(b"abcab", 3), ("光".encode(), 7)])
    seeds, counts = find_seeds(words, min_frequency=2, limit=2)
    assert seeds == [b"abcab", b"ab"]  # 5 x 3 and 2 x 6 characters before 4 x 3 and 1 x 7
    assert counts.tolist() == [3, 6]


def test_training_twice_and_in_another_order_gives_the_same_bytes():
    made = (
        train_unigram(batches, vocab_size=300, min_frequency=1).to_str()
        for batches in ([TEXTS], [TEXTS], [TEXTS[::-1]], [[text] for text in TEXTS])
    )
    assert len(set(made)) == 1


def test_the_vocabulary_has_room_for_the_special_tokens_and_holds_every_byte():
    special = SpecialTokens(extra=("<user>",))
    tokenizer = train_unigram([TEXTS * 5], vocab_size=300, min_frequency=1, special=special)
    assert tokenizer.get_vocab_size() == 297
    assert len(tokenizer.encode("\x00\x7f").ids) == 2


def test_pieces_follow_the_text():
    tokenizer = train_unigram([["hello world " * 50, "明月光，" * 50]], vocab_size=290, min_frequency=2)
    assert tokenizer.encode("hello world").tokens == ["hello", "Ġworld"]
    assert len(tokenizer.encode("明月光").ids) == 1


def test_no_text_leaves_the_bytes():
    assert train_unigram([[]], vocab_size=300, min_frequency=2).get_vocab_size() == 256


def test_its_likeliest_segmentation_is_the_one_of_the_scores():
    tokenizer = train_unigram([TEXTS], vocab_size=310, min_frequency=2)
    scores = dict(json.loads(tokenizer.to_str())["model"]["vocab"])

    @cache
    def best(word: str) -> float:
        if not word:
            return 0.0
        return max(scores[word[:end]] + best(word[end:]) for end in range(1, len(word) + 1) if word[:end] in scores)

    for text in (" quick", "jumps", "明月"):
        tokens = tokenizer.encode(text).tokens
        assert sum(scores[token] for token in tokens) == pytest.approx(best("".join(tokens)))
