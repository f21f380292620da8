"""Where words end: no token crosses these bounds.

Byte-level BPE learns within narrow words and encodes within wider ones, each of which is a row of narrow ones: Han runs
are kept apart in training, so no merge joins them to their neighbours, and in encoding they need not be looked for. The
wider words are those of Qwen, which fast engines know by heart: fastokens cuts them four to eight times faster than
by any pattern of ours.
"""

import json
import re
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, pre_tokenizers

from params.train_tokenizer import Digits

_DIGITS: dict[Digits, str] = {"single": r"\p{N}", "triple": r"\p{N}{1,3}", "whole": r"\p{N}+"}
_HAN = "\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U000323af"
_KANA = "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SPACE = "\\t-\\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Ranges, for engines do not agree on scripts and spaces: PCRE2 takes the ideographic full stop for Han and U+180E for
a space, Oniguruma does not."""
_LETTER = rf"[^\P{{L}}{_HAN}{_KANA}]"
_LETTERS_AND_MARKS = rf"[^\p{{N}}\p{{P}}\p{{S}}\p{{Z}}\p{{C}}{_HAN}{_KANA}]*"
"""Classes without alternatives, on which an engine does not run out of stack in a word of a million letters."""
PIECE_CHARACTERS = 1 << 14
_ENCODING_BOUND = r"(?<=\n)(?=\S)|(?<=\S)(?= \S)"
WORD_BOUND = re.compile(rf"{_ENCODING_BOUND}|(?<=[。，；！？])(?=[{_HAN}])")
"""Some places where a word of training ends, whatever the digits."""
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ENCODING_BOUND = re.compile(_ENCODING_BOUND)
"""Some places where a word of encoding ends."""


def word_pattern(digits: Digits) -> str:
    r"""The pattern of cl100k (tiktoken), made right for unspaced scripts and for marks.

    Han and Kana runs stand apart from other letters, and combining marks (\p{M}) stay with their letters, as in
    o200k: cl100k cuts Thai and Hindi words at every vowel sign.
    """
    return "|".join(
        [
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            rf"[{_HAN}]+",
            rf"[{_KANA}]+",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTER}{_LETTERS_AND_MARKS}",
            _DIGITS[digits],
            rf" ?[^{_SPACE}\p{{L}}\p{{N}}]+[\r\n]*",
            rf"[{_SPACE}]*[\r\n]+",
            rf"[{_SPACE}]+(?![^{_SPACE}])",
            rf"[{_SPACE}]+",
        ]
    )


def cut_text(text: str, bound: re.Pattern[str], size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """A text in pieces of about `size` characters, cut only at a bound.

    `tokenizers` takes a hundred bytes and more for each byte of a text that it has in hand.
    """
    start = 0
    while start + size < len(text) and (found := bound.search(text, start + size)):
        yield text[start : found.start()]
        start = found.start()
    yield text[start:]


def split_words(digits: Digits) -> pre_tokenizers.PreTokenizer:
    """Text to the words that vocabularies are learned in."""
    return pre_tokenizers.Split(Regex(word_pattern(digits)), behavior="isolated")


def has_our_words(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer cuts its text into words by one of the patterns above, and does nothing to it before."""
    stored = json.loads(tokenizer.to_str())
    ours = [json.loads(make(digits).__getstate__()) for digits in _DIGITS for make in (byte_words, encoding_words)]
    return stored["normalizer"] is None and stored["pre_tokenizer"] in ours


def byte_words(digits: Digits) -> pre_tokenizers.PreTokenizer:
    """Text to words of training, each byte of which is one character of the byte-level alphabet (GPT-2)."""
    return pre_tokenizers.Sequence([split_words(digits), _to_bytes()])


def encoding_words(digits: Digits) -> pre_tokenizers.PreTokenizer:
    """Text to words of encoding, in the same alphabet: those of training where the digits are not cut as Qwen's are."""
    if digits != "single":
        return byte_words(digits)
    split = pre_tokenizers.Split(Regex(_QWEN), behavior="isolated")
    return pre_tokenizers.Sequence([split, _to_bytes()])


def _to_bytes() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
