"""Strings by chance, from the places where tokenizers are known to fail."""

import random
from collections.abc import Iterator, Sequence

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789",
    " \t\n\u3000\u00a0\u200b",
    ".,;:!?'\"()[]{}<>|/\\@#$%^&*-_=+~`",
    "的一是在不了有和人这中大为上个国我以要他",
    "𠮷𠀀鿿㐀豈龘",
    "ひらがなカタカナ한국어",
    "àéîõüßøçñ\u0301\u0308",
    "👍🏽👩‍👩‍👧‍👦🇨🇳😀✈️",
    "абвгд אבג ابت ไทย हिन्दी",
    "\x00\x07\x1f\x7f\ufeff\ufffd",
)
_SPELLED = 0.1


def fuzzed_texts(count: int, *, special: Sequence[str], seed: int = 0) -> Iterator[str]:
    """So many strings: runs of characters of one script or of several, and spellings of special tokens in between.

    The first ones are single characters of every alphabet, since a lone ideograph or half of an emoji is what fails.
    """
    draw = random.Random(seed)
    for index in range(count):
        if index < len(_ALPHABETS):
            yield draw.choice(_ALPHABETS[index])
            continue
        parts = list[str]()
        for _ in range(draw.randint(1, 6)):
            if special and draw.random() < _SPELLED:
                parts.append(draw.choice(special))
            parts.append("".join(draw.choices(draw.choice(_ALPHABETS), k=draw.randint(1, 8))))
        yield "".join(parts)
