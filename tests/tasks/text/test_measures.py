"""The kernel's counts against a plain Python reference on arbitrary text."""

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from params.clean import MAX_STOP_WORDS
from tasks.text.characters import TERMINAL, UNSPACED, character_classes
from tasks.text.measures import Measures, Request, measure

STOP_WORDS = ("the", "to", "don't")
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
    "/",
    "://",
    ",",
    ")",
    "•",
    "'",
]
BLANKS = [" ", "\n", "\n\n", "\u3000", "\t", "\xa0"]
TEXTS = st.lists(st.sampled_from(PIECES + BLANKS) | st.characters(exclude_categories=["Cs"])).map("".join)
LINES = st.lists(st.sampled_from(["", " ", "a b", " a b ", "- x", "• y…", "中文。。。", "z. . .", "#", "…\t"])).map(
    "\n".join
)
STICKY = "-/\\|^~@+."
BULLETS = "-*·–•‣⁃■▪▶○●◦・"


def measured(*texts: str, stop_words: tuple[str, ...] = STOP_WORDS) -> Measures:
    return measure(pa.array(texts, pa.large_string()), Request(stop_words=stop_words, short_line_lengths=(2, 3)))


def is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Pc"


def is_unspaced(character: str) -> bool:
    return bool(character_classes()[ord(character)] & UNSPACED)


def shape_of(character: str) -> str:
    if character.isspace():
        return " "
    if is_word(character):
        return "U" if is_unspaced(character) else "w"
    return "s" if character in STICKY else "."


def tokens_of(text: str) -> list[str]:
    """Tokens, piece by piece between blanks and letters of unspaced scripts, which are tokens of their own."""
    shape = "".join(map(shape_of, text))
    pieces = re.finditer("U|[^ U]+", shape)
    return [token for piece in pieces for token in tokens_in(text[slice(*piece.span())], piece[0])]


def tokens_in(piece: str, shape: str) -> list[str]:
    """Single marks, then the word with the sticky marks before it, then the marks after it."""
    if shape == "U":
        return [piece]
    begin = re.match(r"(?:\.|s+(?![sw]))*", shape).end()
    end = shape.rfind("w") + 1
    if end == 0:
        return marks_in(piece)
    return [*marks_in(piece[:begin]), *words_in(piece[begin:end], shape[begin:end]), *marks_in(piece[end:])]


def marks_in(piece: str) -> list[str]:
    return [m[0] for m in re.finditer(r"([-/\\|^~@+.])\1*|.", piece, re.DOTALL)]


def words_in(core: str, shape: str) -> list[str]:
    """One word, or several where a single mark parts them; what looks like a path or an address stays whole."""
    tokens, start, is_path, is_dotted = [], 0, False, False
    for gap in re.finditer("(?<=w)[^w]+(?=w)", shape):
        marks, after = core[slice(*gap.span())], core[gap.end()]
        is_path |= marks.endswith("/") and (is_dotted or len(marks) > 1)
        is_dotted |= marks.endswith(".") and unicodedata.category(after)[0] == "L"
        if len(marks) == 1 and marks in "-/:=<>," and not is_path and unicodedata.category(after)[0] == "L":
            tokens += [core[start : gap.start()], marks]
            start, is_dotted = gap.end(), False
    return [*tokens, core[start:]]


def expected_words(text: str) -> dict[str, int]:
    tokens = tokens_of(text)
    words = [token for token in tokens if any(map(is_word, token))]
    stops = {form for word in STOP_WORDS for form in (word, word.upper(), word.capitalize())}
    return {
        "length": len(text),
        "characters": sum(not c.isspace() for c in text),
        "alphanumeric": sum(unicodedata.category(c)[0] in "LMN" for c in text),
        "letters": sum(unicodedata.category(c)[0] in "LM" for c in text),
        "unspaced_letters": sum(map(is_unspaced, text)),
        "hashes": text.count("#"),
        "ellipses": len(ellipses_in(text)),
        "tokens": len(tokens),
        "words": len(words),
        "word_characters": sum(map(len, words)),
        "alphabetic_words": sum(any(unicodedata.category(c)[0] == "L" for c in word) for word in words),
        "stop_words": len({word.lower() for word in words if word in stops}),
    }


def ellipses_in(text: str) -> list[str]:
    return [m[0] for m in re.finditer("[.。…⋯]+", text) if len(m[0]) >= 3 or set(m[0]) & set("…⋯")]


def expected_lines(text: str) -> dict[str, int]:
    lines = [line.rstrip() for line in text.split("\n")]
    paragraphs = [p for p in re.split("\n\n+", re.sub("^\n+|\n+$", "", "\n".join(lines))) if p]
    lines = [line for line in lines if line]
    repeated = [line for index, line in enumerate(lines) if line in lines[:index]]
    repeated_paragraphs = [p for index, p in enumerate(paragraphs) if p in paragraphs[:index]]
    return {
        "newlines": text.count("\n"),
        "lines": len(lines),
        "line_characters": sum(map(len, lines)),
        "longest_line": max(map(len, lines), default=0),
        "bullet_lines": sum(line.lstrip()[0] in BULLETS for line in lines),
        "ellipsis_lines": sum(any(line.endswith(run) for run in ellipses_in(line)[-1:]) for line in lines),
        "punctuated_lines": sum(bool(character_classes()[ord(line[-1])] & TERMINAL) for line in lines),
        "short_lines": sum(len(line) <= 2 for line in lines),
        "short_lines_unspaced": sum(len(line) <= 3 for line in lines),
        "duplicate_lines": len(repeated),
        "duplicate_line_characters": sum(map(len, repeated)),
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": len(repeated_paragraphs),
        "duplicate_paragraph_characters": sum(map(len, repeated_paragraphs)),
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


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't panic: the 2nd e-mail (from a.b@c.org) -- 3.14!", 15),  # e - mail; -- is one token, as in spaCy
        ("see http://a.org/b-c/d, or a.org/b/c.", 6),  # addresses stay whole
        ("and/or x=y 1,000 a,b", 3 + 3 + 1 + 3),
        ("--verbose /usr (see)", 1 + 1 + 3),
        ("数据 data", 3),
        ("...", 1),
    ],
)
def test_tokens_are_counted_by_hand(text, tokens):
    assert measured(text).tokens.tolist() == [tokens]


def test_between_blanks_everything_is_a_word_if_asked():
    measures = measure(pa.array(["a -- b, #c ... 数据"], pa.large_string()), Request(split_at_blanks=True))
    assert measures.words.tolist() == [5 + 2]
    assert (measures.hashes.tolist(), measures.ellipses.tolist()) == ([1], [1])


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
