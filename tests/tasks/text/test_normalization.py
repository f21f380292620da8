"""The normal form of texts, against the rules written plainly."""

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.characters import DROP, JOINS, character_classes
from tasks.text.normalization import normalize

PIECES = "a Bé\u0301é中，。！“”　\t \xa0\r\n\n\x0b\x85\u2028\u200b\ufeff\u202e\u200c\u200dیक्ष👩💻\x00\xad\u1100\u1161"
TEXTS = st.text(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]))


def normalized(*texts: str) -> list[str]:
    return normalize(pa.array(texts, pa.large_string())).to_pylist()


def plainly(text: str) -> str:
    """The same rules, one pass each."""
    text = re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text)
    kept: list[str] = []
    for character in text:
        before = kept[-1] if kept else " "
        if character in "\u200c\u200d":
            stays = bool(character_classes()[ord(before)] & JOINS)
        else:
            stays = character == "\n" or not character_classes()[ord(character)] & DROP
        if stays:
            kept.append(character)
    lines = [line.rstrip() for line in "".join(kept).split("\n")]
    text = re.sub("\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")
    return unicodedata.normalize("NFC", text)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_normal_form_follows_the_plain_rules_on_any_text(texts):
    assert normalized(*texts) == [plainly(text) for text in texts]


@settings(deadline=None)
@given(TEXTS)
def test_normalizing_twice_changes_nothing_more(text):
    once = normalized(text)
    assert normalized(*once) == once


def test_full_width_punctuation_and_quotation_marks_stay():
    text = "“你好，世界！”她说：‘走吧……’（笑）《论语》、ＡＢＣ。"
    assert normalized(text) == [text]


def test_paragraph_indents_by_ideographic_spaces_stay_and_trailing_ones_go():
    assert normalized("　　春眠不觉晓，　\n　　处处闻啼鸟。　　") == ["　　春眠不觉晓，\n　　处处闻啼鸟。"]


def test_line_ends_become_one_kind():
    assert normalized("a\r\nb\rc\u2028d\x0ce\x85f") == ["a\nb\nc\nd\ne\nf"]


@pytest.mark.parametrize("blank", ["\n", " \n", "\u200b\n", "\t\r\n"])
def test_at_most_two_blank_lines_stay_between_paragraphs(blank):
    assert normalized("a\n" + 2 * blank + "b") == ["a\n\n\nb"]
    assert normalized("a\n" + 7 * blank + "b") == ["a\n\n\nb"]


def test_blank_lines_at_both_ends_go():
    assert normalized(" \n\n  a\n\n", "\n\n", "") == ["  a", "", ""]


def test_the_persian_joiner_stays_and_a_stray_one_goes():
    assert normalized("می\u200cخواهم", "in\u200cter\u200dnet", "क्\u200dष") == ["می\u200cخواهم", "internet", "क्\u200dष"]


def test_an_emoji_sequence_stays_whole():
    assert normalized("👩🏽\u200d💻 ❤️\u200d🔥") == ["👩🏽\u200d💻 ❤️\u200d🔥"]


def test_invisible_characters_go_from_within_words():
    assert normalized("\ufeffzero\u200bwidth \u202eright\u202c so\xadft be\x07ll") == ["zerowidth right soft bell"]


def test_decomposed_text_is_composed_also_when_something_invisible_stood_between():
    assert normalized("cafe\u0301", "e\u200b\u0301", "\u1112\u1161\u11ab") == ["café", "é", "한"]


def test_a_slice_of_a_column_is_read_at_its_place():
    column = pa.array(["x", "one ", "two\r", "y"], pa.large_string())
    assert normalize(column.slice(1, 2)).to_pylist() == ["one", "two"]
    assert normalize(column.slice(0, 0)).to_pylist() == []
