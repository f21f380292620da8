"""Where words end: no token crosses these bounds, in training and in encoding."""

from tokenizers import Regex, pre_tokenizers

from params.train_tokenizer import Digits

_DIGITS: dict[Digits, str] = {"single": r"\p{N}", "triple": r"\p{N}{1,3}", "whole": r"\p{N}+"}
_KANA = r"\p{Hiragana}\p{Katakana}\u30FC\uFF70"
"""With the two prolonged sound marks, which belong to no script."""
_LETTER = rf"(?![\p{{Han}}{_KANA}])\p{{L}}"


def word_pattern(digits: Digits) -> str:
    r"""The pattern of cl100k (tiktoken), made right for unspaced scripts and for marks.

    Han and Kana runs stand apart from other letters, and combining marks (\p{M}) stay with their letters, as in
    o200k: cl100k cuts Thai and Hindi words at every vowel sign.
    """
    return "|".join(
        [
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            r"\p{Han}+",
            rf"[{_KANA}]+",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTER}(?:{_LETTER}|\p{{M}})*",
            _DIGITS[digits],
            r" ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    )


def split_words(digits: Digits) -> pre_tokenizers.PreTokenizer:
    """Text to words."""
    return pre_tokenizers.Split(Regex(word_pattern(digits)), behavior="isolated")


def byte_words(digits: Digits) -> pre_tokenizers.PreTokenizer:
    """Text to words, each byte of which is one character of the byte-level alphabet (GPT-2)."""
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split_words(digits), to_bytes])
