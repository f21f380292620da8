"""N-grams against a plain reference: which there are, and where they occur."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contamination.ngrams import NgramSizes, SearchTable, bits_of, find, profile

SIZES = NgramSizes(words=4, characters=6, min_words=2, min_characters=4)
EVERY = np.uint64(2**64 - 1)
Span = tuple[int, int]

pieces = st.sampled_from(
    ["mill", "Mill", "flour", "x", "ÉCLAIR", "42", "磨", "面", "粉", "坊", "เ", " ", "，", "-", "\n"]
)
texts = st.lists(st.lists(pieces, max_size=30).map(" ".join) | st.lists(pieces, max_size=30).map("".join), max_size=5)


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def table_of(evaluation: list[str], sizes: NgramSizes = SIZES) -> SearchTable:
    found = profile(column(evaluation), sizes)
    keys, is_short = np.unique(found.hashes), found.anchors != 0
    bits, ends = bits_of(keys, 1024), bits_of(found.anchors[is_short], 1024)
    return SearchTable(keys, bits, np.unique(found.num_tokens[is_short]), ends, EVERY)


def tokens(text: str) -> list[tuple[str, Span]]:
    """Token and place in bytes; the alphabet above is Latin, digits, Han and one Thai vowel."""
    found = re.finditer("[\u4e00-\u9fff\u0e00-\u0e7f]|[a-zÀ-ÿ0-9]+", text, re.IGNORECASE)
    spans = ((match[0].lower(), match.start(), match.end()) for match in found)
    return [(token, (len(text[:start].encode()), len(text[:end].encode()))) for token, start, end in spans]


def weight(run: list[tuple[str, Span]], of_word: int, of_character: int) -> int:
    return sum(of_word if re.match("[a-zÀ-ÿ0-9]", token) else of_character for token, _ in run)


def ngrams(text: str) -> list[tuple[tuple[str, ...], Span]]:
    """The shortest run before each token that weighs as much as 4 words or 6 characters."""
    all_tokens, found = tokens(text), []
    for end in range(1, len(all_tokens) + 1):
        runs = [all_tokens[start:end] for start in range(end)]
        if heavy := [run for run in runs if weight(run, 6, 4) >= 24]:
            run = heavy[-1]
            found.append((tuple(token for token, _ in run), (run[0][1][0], run[-1][1][1])))
    return found


def compared(text: str) -> set[tuple[str, ...]]:
    """N-grams of an evaluation text; itself when it is shorter than one, down to 2 words or 4 characters."""
    if found := {ngram for ngram, _ in ngrams(text)}:
        return found
    return {tuple(t for t, _ in tokens(text))} if weight(tokens(text), 4, 2) >= 8 else set()


def occurrences(text: str, wanted: set[tuple[str, ...]]) -> set[Span]:
    """Every n-gram of a text that is wanted, and every whole short text."""
    found = {span for ngram, span in ngrams(text) if ngram in wanted}
    every = tokens(text)
    for size in {len(run) for run in wanted}:
        for start in range(len(every) - size + 1):
            run = every[start : start + size]
            is_short = weight(run, 6, 4) < 24
            if is_short and tuple(token for token, _ in run) in wanted:
                found.add((run[0][1][0], run[-1][1][1]))
    return found


@settings(deadline=None)  # the first call loads the kernels
@given(texts, texts)
def test_every_occurrence_is_found_and_nothing_else(evaluation: list[str], documents: list[str]):
    wanted = set().union(*map(compared, evaluation))
    hits = find(column(documents), table_of(evaluation), SIZES)
    rows = zip(hits.texts.tolist(), hits.starts.tolist(), hits.ends.tolist(), strict=True)
    expected = {(number, *span) for number, text in enumerate(documents) for span in occurrences(text, wanted)}
    assert set(rows) == expected
    assert hits.num_ngrams.tolist() == [len(ngrams(text)) for text in documents]


@settings(deadline=None)
@given(texts)
def test_a_text_has_its_ngrams_and_a_short_one_itself(evaluation: list[str]):
    found = profile(column(evaluation), SIZES)
    numbers = np.diff(found.offsets).tolist()
    assert numbers == [len(ngrams(text)) or len(compared(text)) for text in evaluation]
    assert found.num_tokens.tolist() == [len(tokens(text)) for text in evaluation]
    different = {run for text in evaluation for run in compared(text)}
    assert len(np.unique(found.hashes)) == len(different)


@pytest.mark.parametrize(
    ("evaluation", "document"),
    [
        ("The mill grinds the grain.", "THE MILL\n\n  grinds -- the 'grain'?"),
        ("床前明月光，疑是地上霜。", "床前明月光\n疑是地上霜"),
        ("用 Python 写的磨坊程序", "用Python写的“磨坊”程序"),
    ],
)
def test_case_punctuation_and_white_space_hide_nothing(evaluation: str, document: str):
    table = table_of([evaluation])
    assert len(np.unique(find(column([document]), table, SIZES).keys)) == len(table.keys) > 0


def test_more_hits_than_expected_are_all_found():
    text = "the mill grinds the grain " * 30_000
    hits = find(column([text]), table_of(["the mill grinds the grain"]), SIZES)
    assert len(hits.keys) == 2 * 30_000
    assert len(table_of([text]).keys) == 5  # however long the text, five different runs of four of its five words


def test_a_text_much_longer_than_the_memory_of_the_search_is_found_to_its_end():
    text = "".join(chr(0x4E00 + n) for n in range(5_000))
    hits = find(column([text, text[-10:]]), table_of([text]), SIZES)
    assert np.bincount(hits.texts).tolist() == [4_995, 5]
    assert (hits.starts[-1], hits.ends[-1]) == (12, 30)  # the last 6 of 10 characters, 3 bytes each
