"""The class table against the properties it stands for."""

import unicodedata

import numpy as np
import pytest

from tasks.text import characters
from tasks.text.characters import (
    ALPHABETIC,
    BREAK,
    COMPOSES,
    DROP,
    JOINS,
    LATIN,
    LETTER,
    SPACE,
    UNSPACED,
    WORD,
    character_classes,
    lower_case,
)


def test_every_code_point_has_the_classes_of_its_general_category():
    table = character_classes()
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        kind = int(table[code])
        assert bool(kind & ALPHABETIC) == (category[0] == "L"), hex(code)
        assert bool(kind & LETTER) == (category[0] in "LM"), hex(code)
        assert bool(kind & WORD) == (category[0] in "LMN" or category == "Pc"), hex(code)
        assert bool(kind & SPACE) == chr(code).isspace(), hex(code)


@pytest.mark.parametrize("character", "中あカ한กລကខ々ༀ")
def test_scripts_without_spaces_are_told_from_those_with(character):
    assert bool(character_classes()[ord(character)] & UNSPACED) == (character != "한")


@pytest.mark.parametrize(
    ("character", "is_latin"), [("a", True), ("é", True), ("Ｚ", True), ("я", False), ("中", False)]
)
def test_latin_letters_are_known(character, is_latin):
    assert bool(character_classes()[ord(character)] & LATIN) == is_latin


@pytest.mark.parametrize("character", "，。！？；：“”‘’（）《》、…—　\t")
def test_chinese_punctuation_and_ideographic_spaces_are_never_dropped(character):
    assert not character_classes()[ord(character)] & DROP


@pytest.mark.parametrize("code", [0x00, 0x7F, 0xAD, 0x200B, 0x200E, 0x202E, 0x2066, 0xFEFF, 0xE0041])
def test_invisible_characters_are_dropped(code):
    assert character_classes()[code] & DROP


@pytest.mark.parametrize("text", ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_every_line_end_breaks_and_is_not_dropped(text):
    assert character_classes()[ord(text)] & (BREAK | DROP) == BREAK


@pytest.mark.parametrize(("character", "joins"), [("ی", True), ("क", True), ("👩", True), ("a", False), ("中", False)])
def test_joiners_may_follow_the_scripts_that_spell_with_them(character, joins):
    assert bool(character_classes()[ord(character)] & JOINS) == joins


def test_a_text_of_characters_that_do_not_compose_is_in_nfc():
    table = character_classes()
    quiet = [chr(code) for code in np.flatnonzero(table & COMPOSES == 0).tolist() if not 0xD800 <= code < 0xE000]
    text = "".join(quiet)
    assert unicodedata.normalize("NFC", text) == text
    assert unicodedata.normalize("NFC", text[::-1]) == text[::-1]


def test_lower_case_is_that_of_the_interpreter_where_it_is_one_character():
    table = lower_case()
    assert [chr(table[ord(c)]) for c in "AÉЯΣaß中"] == list("aéяσaß中")
    assert table[ord("İ")] == ord("İ")


def test_the_table_is_built_once():
    assert characters.character_classes() is character_classes()
