"""Where words end, in many scripts."""

import pytest

from tasks.tokenizer.words import split_words


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
