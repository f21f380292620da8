"""Lines for people."""

import pytest

from flows.console import shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short \n text", "short text"),
        ("one two three four", "one two …"),
        ("one two thr four five", "one two …"),
        ("磨坊把谷物磨成面粉然后运走", "磨坊把谷物磨成面 …"),
        ("水 磨坊把谷物磨成面粉然后运走", "水 磨坊把谷物磨 …"),
        ("12345678 0", "12345678 0"),
        ("12345678 01", "12345678 …"),
    ],
)
def test_a_text_is_cut_between_words_and_within_one_where_words_are_long(text, expected):
    assert shortened(text, 10) == expected
    assert len(shortened(text, 10)) <= 10


def test_what_steers_a_terminal_is_not_shown():
    assert shortened("\x1b[31mred", 20) == "\ufffd[31mred"
