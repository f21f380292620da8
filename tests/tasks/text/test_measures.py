"""The kernel's counts against a plain Python reference on arbitrary text."""

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.measures import MAX_STOP_WORDS, Measures, measure

STOP_WORDS = ("the", "to", "don't", "数")
PIECES = [
    "the",
    "The",
    "to",
    "don't",
    "数",
    "a",
    "é",
    "e\u0301",
    "ก้",
    "7",
    "_",
    ".",
    "...",
    "…",
    "。",
    "#",
    "-",
    "•",
    "'",
]
BLANKS = [" ", "\n", "\n\n", "\u3000", "\t", "\xa0"]
TEXTS = st.lists(st.sampled_from(PIECES + BLANKS) | st.characters(exclude_categories=["Cs"])).map("".join)
LINES = st.lists(st.sampled_from(["", " ", "a b", " a b ", "- x", "• y…", "中文。。。", "z. . .", "#", "…\t"])).map(
    "\n".join
)
TOKEN = re.compile(r"\w+(?:[^\w\s]+\w+)*|[^\w\s]")
BULLETS = "-*·–•‣⁃■▪▶○●◦・"


def measured(*texts: str, stop_words: tuple[str, ...] = STOP_WORDS) -> Measures:
    return measure(pa.array(texts, pa.large_string()), stop_words)


def is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Pc"


def lower(text: str) -> str:
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def tokens_of(text: str) -> list[str]:
    """Tokens by the regular expression, after each character became a letter, a blank or a full stop."""
    shape = "".join("w" if is_word(c) else " " if c.isspace() else "." for c in text)
    return [text[match.start() : match.end()] for match in TOKEN.finditer(shape)]


def expected_words(text: str) -> dict[str, int]:
    tokens = tokens_of(text)
    words = [token for token in tokens if is_word(token[0])]
    return {
        "characters": sum(not c.isspace() for c in text),
        "letters": sum(unicodedata.category(c)[0] in "LM" for c in text),
        "tokens": len(tokens),
        "words": len(words),
        "word_characters": sum(map(len, words)),
        "alphabetic_words": sum(any(unicodedata.category(c)[0] == "L" for c in word) for word in words),
        "stop_words": len(set(STOP_WORDS) & {lower(word) for word in words}),
    }


def ellipses_in(text: str) -> list[str]:
    return [m[0] for m in re.finditer("[.。…⋯]+", text) if len(m[0]) >= 3 or set(m[0]) & set("…⋯")]


def expected_lines(text: str) -> dict[str, int]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    repeated = [line for index, line in enumerate(lines) if line in lines[:index]]
    return {
        "lines": len(lines),
        "line_characters": sum(map(len, lines)),
        "bullet_lines": sum(line[0] in BULLETS for line in lines),
        "ellipsis_lines": sum(any(line.endswith(run) for run in ellipses_in(line)[-1:]) for line in lines),
        "duplicate_lines": len(repeated),
        "duplicate_line_characters": sum(map(len, repeated)),
        "hashes": text.count("#"),
        "ellipses": len(ellipses_in(text)),
    }


def actual(measures: Measures, index: int, names: dict[str, int]) -> dict[str, int]:
    return {name: int(getattr(measures, name)[index]) for name in names}


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_words_agree_with_the_reference_on_any_text(texts):
    measures = measured(*texts)
    for index, text in enumerate(texts):
        expected = expected_words(text)
        assert actual(measures, index, expected) == expected


@settings(deadline=None)
@given(st.lists(TEXTS | LINES, max_size=4))
def test_lines_agree_with_the_reference_on_any_text(texts):
    measures = measured(*texts)
    for index, text in enumerate(texts):
        expected = expected_lines(text)
        assert actual(measures, index, expected) == expected


@settings(deadline=None)
@given(st.text(st.characters(codec="latin-1")))
def test_words_are_cut_as_by_the_regular_expression_itself(text):
    measures = measured(text)
    assert measures.tokens[0] == len(TOKEN.findall(text))


def test_a_sentence_is_counted_by_hand():
    measures = measured("Don't panic: the 2nd e-mail (from a.b@c.org) -- 3.14!")
    # Don't panic : the 2nd e-mail ( from a.b@c.org ) - - 3.14 !
    assert measures.tokens.tolist() == [14]
    assert measures.words.tolist() == [8]
    assert measures.alphabetic_words.tolist() == [7]
    assert measures.stop_words.tolist() == [2]


def test_a_thai_word_is_not_cut_at_its_marks():
    assert measured("น้ำ กิน").words.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [
        ("床前明月光，疑是地上霜。", True),
        ("使用 PyTorch 训练模型，用 transformers 发布。", True),
        ("吾輩は猫である。", True),
        ("ภาษาไทยไม่มีช่องว่าง", True),
        ("The Analects (論語) is a book of sayings.", False),
        ("한국어는 띄어쓰기를 한다.", False),
        ("Съешь ещё этих мягких булок", False),
        ("2024-01-01 ***", False),
        ("", False),
    ],
)
def test_the_share_of_letters_decides_the_script(text, unspaced):
    assert measured(text).unspaced.tolist() == [unspaced]


def test_blank_lines_are_not_duplicates_of_each_other():
    assert measured("a\n\n\n \n\nb\n\n").duplicate_lines.tolist() == [0]


def test_lines_of_another_document_are_no_duplicates():
    assert measured("same\nsame", "same").duplicate_lines.tolist() == [1, 0]


def test_a_chinese_ellipsis_of_two_characters_counts_once():
    measures = measured("他说……\n然后。。。\n好.")
    assert measures.ellipses.tolist() == [2]
    assert measures.ellipsis_lines.tolist() == [2]


def test_all_stop_words_that_fit_are_told_apart():
    words = tuple(f"w{index}" for index in range(MAX_STOP_WORDS))
    assert measured(" ".join(words), stop_words=words).stop_words.tolist() == [MAX_STOP_WORDS]
