"""C4's rules on lines by hand, after Raffel et al. 2020, section 2.2, and its c4_utils.py."""

import pyarrow as pa
import pytest

from params.clean import C4Rules
from tasks.text.c4 import LINE_RULES, filter_lines

GOOD = "This line is fine."


def left_of(*lines: str, **rules: object) -> list[str]:
    kept, _ = filter_lines(pa.array(["\n".join(lines)], pa.large_string()), C4Rules(**rules))
    return kept.to_pylist()[0].split("\n")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("No mark at the end", "terminal_punctuation"),
        ("And so it goes on...", "terminal_punctuation"),
        ("他慢慢地走了……", "terminal_punctuation"),
        ("Two words.", "min_words_per_line"),
        ("好。", "min_words_per_line"),
        ("Please turn JavaScript on now.", "line_phrases"),
        ("We have a Privacy Policy here.", "line_phrases"),
        (f"A word of {'x' * 1001} letters.", "max_word_length"),
    ],
)
def test_a_line_that_breaks_a_rule_goes_and_is_counted(line, rule):
    kept, found = filter_lines(pa.array([f"{GOOD}\n{line}\n\n{GOOD}"], pa.large_string()), C4Rules())
    assert kept.to_pylist() == [f"{GOOD}\n{GOOD}"]
    assert dict(zip(LINE_RULES, found.broken_lines[0].tolist(), strict=True)) == {
        name: int(name == rule) for name in LINE_RULES
    }
    assert found.broken_bytes[0].sum() == len(line.encode()) + 1


@pytest.mark.parametrize(
    "line", ['She said "no way"', "Is it so?", "他说：“走吧。”", "床前明月光，疑是地上霜。", "Use of a cookie jar."]
)
def test_a_line_that_ends_as_a_sentence_does_stays(line):
    assert left_of(line) == [line]


def test_indents_blank_lines_and_citations_go_with_the_lines_that_stay():
    assert left_of("  It is known.[12]", "", "\tSee [edit] the book[citation needed].", "a[0] is the first [x].") == [
        "It is known.",
        "See  the book.",
        "a is the first [x].",
    ]
    assert left_of("It is known.[12]!", remove_citations=False) == ["It is known.[12]!"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three. Four five six! Seven?", 3),
        ("Version 3.14 of e.g. the J. Smith book.", 1),
        ("He left... She did not come.", 2),
        ("春眠不觉晓。处处闻啼鸟。夜来风雨声！", 3),
        ("No mark at the end", 0),
    ],
)
def test_sentences_are_counted_in_the_lines_that_stay(text, sentences):
    _, found = filter_lines(pa.array([text], pa.large_string()), C4Rules())
    assert found.sentences.tolist() == [sentences]


def test_brackets_and_phrases_of_documents_count_in_lines_that_break_no_rule_only():
    texts = ["An open { in here.", "An open { in here", "So lorem Ipsum it is.", "Lorem ipsum"]
    _, found = filter_lines(pa.array(texts, pa.large_string()), C4Rules())
    assert found.curly_brackets.tolist() == [1, 0, 0, 0]
    assert found.document_phrases.tolist() == [0, 0, 1, 0]


def test_chinese_phrases_can_be_set():
    assert left_of("请先阅读隐私政策。", "床前明月光。", line_phrases=("隐私政策",)) == ["床前明月光。"]


def test_every_rule_can_be_turned_off():
    off = {"terminal_punctuation": False, "min_words_per_line": None, "max_word_length": None, "line_phrases": ()}
    lines = ["javascript", "x" * 2000, "..."]
    assert left_of(*lines, **off) == lines


def test_a_slice_of_a_column_is_read_at_its_place():
    column = pa.array(["x", GOOD, "nothing", GOOD], pa.large_string()).slice(1, 2)
    assert filter_lines(column, C4Rules())[0].to_pylist() == [GOOD, ""]
