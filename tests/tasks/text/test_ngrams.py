"""Repeated n-grams against datatrove's definitions, written plainly."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.measures import NgramSizes, Request, measure

TOP, DUPLICATE = (1, 2, 3, 4), (2, 3, 5, 10)
WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "the"]), max_size=60)


def expected(words: list[str], *, count_single: bool = False) -> list[int]:
    return [*(top(words, n, count_single) for n in TOP), *(duplicate(words, n) for n in DUPLICATE)]


def top(words: list[str], n: int, count_single: bool) -> int:
    counts = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
    if not counts:
        return 0
    [(gram, count)] = counts.most_common(1)
    return count * len(" ".join(gram)) if count > 1 or count_single else 0


def duplicate(words: list[str], n: int) -> int:
    seen, found, at = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        found += sum(map(len, gram)) if gram in seen else 0
        at += n if gram in seen else 1
        seen.add(gram)
    return found


def measured(*texts: str, count_single: bool = False) -> list[list[int]]:
    sizes = NgramSizes((*TOP, *DUPLICATE), len(TOP), count_single)
    return measure(pa.array(texts, pa.large_string()), Request(ngrams=sizes, ngrams_unspaced=sizes)).ngrams.tolist()


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.booleans())
def test_ngrams_agree_with_the_definitions_on_any_words(documents, count_single):
    assert measured(*map(" ".join, documents), count_single=count_single) == [
        expected(words, count_single=count_single) for words in documents
    ]


def test_chinese_is_measured_by_characters():
    assert measured("床前明月床前明月") == [expected(list("床前明月床前明月"))]


def test_after_a_duplicate_the_reading_goes_on_behind_it():
    # a b, then a b again: it counts, and b a across it is not looked at
    assert duplicate(["a", "b", "a", "b", "a"], 2) == 2
    assert measured("a b a b a")[0][len(TOP)] == 2


@pytest.mark.parametrize("text", ["", "word", "   "])
def test_a_document_too_short_for_an_ngram_has_none(text):
    assert measured(text)[0][1:] == [0] * 7
