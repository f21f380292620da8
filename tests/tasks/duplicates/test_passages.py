"""Passages against a plain Python reference."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from params.dedup import RepeatedPassageParams
from tasks.duplicates.passages import Passages, find_passages

PARAMS = RepeatedPassageParams(min_words=2, min_characters=3, window=4)
PIECES = ["one", "Two", "12", "7", "３", "x9", "三", "四", "，", "。", ".", "!", " ", "\n", "\n\n", "e\u0301", "(", "…"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def found(*texts: str, wanted: list[bool] | None = None, params: RepeatedPassageParams = PARAMS) -> Passages:
    return find_passages(pa.array(texts, pa.large_string()), np.array(wanted or [True] * len(texts)), params)


def read(passages: Passages, *texts: str) -> list[str]:
    data = "".join(texts).encode()
    return [data[start:stop].decode() for start, stop in passages.spans.tolist()]


def is_unspaced(text: str) -> bool:
    letters = re.findall(r"[a-zA-Z\u0301三四]", text)
    return bool(letters) and sum(letter in "三四" for letter in letters) >= 0.3 * len(letters)


def tokens_of(text: str) -> list[tuple[str, int, int]]:
    """What each token is taken for, and its place."""
    pattern = r"\d+|[\w\u0301]" if is_unspaced(text) else r"[\w\u0301]+"
    found = re.finditer(pattern, text)
    return [(re.sub(r"\d+", "0", match[0].lower()), match.start(), match.end()) for match in found]


def reference(text: str, params: RepeatedPassageParams) -> set[tuple[tuple[str, ...], str]]:
    """The tokens and the wording of each passage."""
    tokens = tokens_of(text)
    gaps = [text[before:start] for before, (_, start, _) in zip([0, *(t[2] for t in tokens)], tokens, strict=False)]
    runs = [
        (at, at + params.window)
        for at, gap in enumerate(gaps)
        if (at == 0 or re.search(r"\n|[。！？…]|[.!?]\s", gap)) and at + params.window <= len(tokens)
    ]
    breaks = [0, *(at for at, gap in enumerate(gaps) if at and gap.count("\n") > 1), len(tokens)]
    least = params.min_characters if is_unspaced(text) else params.min_words
    paragraphs = [(first, last) for first, last in pairwise(breaks) if last - first >= least]
    return {
        (tuple(token for token, _, _ in tokens[first:last]), text[tokens[first][1] : tokens[last - 1][2]])
        for first, last in [*runs, *paragraphs]
        if 2 * sum("0" in token for token, _, _ in tokens[first:last]) <= last - first
    }


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_passages_are_those_of_the_reference_and_equal_ones_share_a_hash(texts):
    passages = found(*texts)
    wording = read(passages, *texts)
    classes: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(texts):
        expected = reference(text, PARAMS)
        here = [at for at, owner in enumerate(passages.owners.tolist()) if owner == number]
        assert {wording[at] for at in here} == {words for _, words in expected}
        assert passages.num_tokens[number] == len(tokens_of(text))
        by_words = {words: tokens for tokens, words in expected}
        for at in here:
            assert classes.setdefault(by_words[wording[at]], int(passages.hashes[at])) == passages.hashes[at]
    assert len(set(classes.values())) == len(classes)


def test_case_space_punctuation_and_numbers_do_not_count():
    same = found("Copyright 2019, the authors.\nAll rights reserved", "copyright 7 the AUTHORS all  rights (reserved)!")
    by_text = [set(same.hashes[same.owners == number].tolist()) for number in range(2)]
    assert by_text[0] & by_text[1]


def test_texts_that_are_not_wanted_have_none():
    assert found("one two three four", "one two three four", wanted=[False, True]).owners.tolist() == [1, 1]


def test_without_a_window_whole_paragraphs_are_left():
    params = PARAMS.model_copy(update={"window": None})
    text = "one two three four five six. Seven\n\neight\n\nnine ten"
    assert read(found(text, params=params), text) == ["one two three four five six. Seven", "nine ten"]


def test_a_million_characters_without_a_break_are_one_paragraph():
    text = "哈" * 1_000_000
    assert [len(words) for words in read(found(text), text)] == [4, 1_000_000]


def test_a_table_of_numbers_is_no_passage():
    text = "\n".join(f"row {number} {number * 7} {number * 11}" for number in range(100))
    assert read(found(text), text) == []
