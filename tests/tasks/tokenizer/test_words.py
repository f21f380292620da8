"""Where words end, in many scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tokenizer.words import ENCODING_BOUND, WORD_BOUND, cut_text, encoding_words, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't  know", ["I", " don", "'t", " ", " know"]),
        ("abc床前def，明月光", ["abc", "床前", "def", "，", "明月光"]),
        ("Pythonを使うコーヒー", ["Python", "を", "使", "うコーヒー"]),
        ("ｺｰﾋｰ人々", ["ｺｰﾋｰ", "人々"]),
        ("ที่นี่ hello", ["ที่นี่", " hello"]),
        ("हिन्दी में", ["हिन्दी", " में"]),
        ("한국어도 됩니다", ["한국어도", " 됩니다"]),
        ("❤️abc", ["❤️", "abc"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("a\n\n  b\t\tc ", ["a", "\n\n", " ", " b", "\t", "\tc", " "]),
    ],
)
def test_words_are_cut_between_scripts_and_never_between_a_letter_and_its_marks(text, words):
    assert [word for word, _ in split_words("single").pre_tokenize_str(text)] == words


def words_of(text, digits="triple"):
    return [word for word, _ in split_words(digits).pre_tokenize_str(text)]


@given(
    st.text(st.sampled_from("a1 \n\r\t。，！.'s光か\u3000\u0301\u180e") | st.characters(codec="utf-8")),
    st.integers(1, 9),
)
def test_cutting_a_text_never_cuts_a_word(text, size):
    pieces = list(cut_text(text, WORD_BOUND, size))
    assert "".join(pieces) == text
    assert [word for piece in pieces for word in words_of(piece)] == words_of(text)
    cut = encoding_words("single").pre_tokenize_str
    whole = [word for word, _ in cut(text)]
    assert [word for piece in cut_text(text, ENCODING_BOUND, size) for word, _ in cut(piece)] == whole


@pytest.mark.parametrize("line", ["The mill grinds.\n", "The mill grinds the grain ", "床前明月光，疑是地上霜。"])
def test_a_long_text_is_cut_to_short_pieces(line):
    assert max(map(len, cut_text(line * 5000, WORD_BOUND))) < 17_000


@pytest.mark.parametrize("character", ["a", "光", "か", " ", "\n", ".", "e\u0301", "1"])
def test_a_million_repeated_characters_are_words(character):
    assert "".join(words_of(character * 1_000_000, "whole")) == character * 1_000_000
