"""Counting words in bounded memory."""

from itertools import pairwise

from tasks.tokenizer.counting import Words


def counted(words):
    data, bounds = words.data.tobytes(), words.bounds.tolist()
    pieces = [data[start:end].decode() for start, end in pairwise(bounds)]
    return list(zip(pieces, words.counts.tolist(), strict=True))


def test_words_come_by_falling_count_then_by_spelling():
    found = counted(Words.count([["b a a", "b 光"], ["a.a"]], "single"))
    assert found == [(" a", 2), ("b", 2), (" ", 1), (".a", 1), ("a", 1), ("光", 1)]


def test_the_words_seen_least_are_forgotten_when_there_are_too_many():
    rare = [f" {first}{second}" for first in "abcdefgh" for second in "xyz"]
    found = counted(Words.count([["the the the"], rare, ["the of of"]], "single", max_words=10))
    assert (" the", 2) in found
    assert len(found) <= 20


def test_no_text_has_no_words():
    words = Words.count([[]], "single")
    assert (len(words.data), words.bounds.tolist(), len(words.counts)) == (0, [0], 0)
    assert words.byte_counts().sum() == 0
