"""Texts with gaps, to ask a model that learned dropped spans: whole words are dropped, so that every tokenizer can read
them."""

import re
from collections.abc import Mapping

import numpy as np
from numpy.random import PCG64, Generator

from params.objective import SENTINEL, SpanParams
from tasks.tokenizer.sentinels import has_sentinels
from tasks.training.text_pairs import corrupt

_FEWEST = 8
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)")
"""With the blanks before it; a Chinese character is one."""


def with_gaps(text: str, params: SpanParams, *, max_words: int, seed: int) -> Mapping[str, str] | None:
    """A row with `source`, the beginning of the text with sentinels, and `target`, what stood in their places.

    None of a text that is too short, or that spells a sentinel itself.
    """
    words = _WORD.findall(text.lstrip())[:max_words]
    if len(words) < _FEWEST or has_sentinels(text):
        return None
    first = len(words)
    sentinels = list(range(first, first + params.num_spans(first)))
    random = Generator(PCG64(seed))
    source, target = corrupt(np.arange(first), params, sentinels, random)
    spelled = [*words, *map(SENTINEL.format, range(len(sentinels)))]
    return {"source": _joined(source, spelled), "target": _joined(target, spelled)}


def _joined(places: np.ndarray, spelled: list[str]) -> str:
    return "".join(spelled[place] for place in places.tolist())
