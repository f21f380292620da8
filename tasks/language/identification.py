"""The language of each text: by script where that decides, else by fastText's model lid.176.

Han text is decided by script because the model takes a quarter of traditional poems for Japanese and short ones for
Cantonese or Wu; Chinese is one code, zh.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from params.language import LanguageParams
from tasks.language.model import load_model
from tasks.language.prediction import predict
from tasks.language.scripts import Scripts, count_scripts
from tasks.text.buffers import Texts, texts_of

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_CJK_WEIGHT = 3
"""One Han character says about as much as three Latin letters."""
_CJK_SHARE = 0.5
_KANA_SHARE = 0.1
"""Of Han and kana, from which a text is Japanese; running Japanese has about a half, Chinese next to none."""
_MIN_TELLING, _TELLING_RATIO = 2, 4
"""Characters of one Chinese script, and how many for one of the other, that tell it."""
_CHINESE = {"yue", "wuu"}
"""Codes of the model for what is written in Han and counted as Chinese."""


@dataclass(frozen=True)
class Languages:
    """The language of each document; arrays have shape (documents,)."""

    codes: list[str | None]
    """ISO 639 code, or None where there are too few letters to tell."""
    scores: Floats
    """Certainty from 0 to 1: the model's probability, or the share of the text in the scripts of the language."""

    @property
    def column(self) -> pa.StringArray:
        """The codes as a column of documents."""
        return pa.array(self.codes, pa.string())


@dataclass(frozen=True)
class Unwanted:
    """Documents that break a rule about languages; arrays have shape (documents,)."""

    keep: Flags
    """In a language that is not kept."""
    min_score: Flags
    """Less certain than asked."""
    thresholds: Floats
    """What certainty was asked for; 0 where none was."""


def identify(column: pa.LargeStringArray, params: LanguageParams) -> Languages:
    """The language of every text and how certain it is."""
    texts = texts_of(column)
    scripts = count_scripts(texts, params.sample_characters)
    cjk = _CJK_WEIGHT * (scripts.han + scripts.kana + scripts.hangul)
    weights = scripts.other + cjk
    can_tell, is_cjk = weights >= params.min_letters, cjk >= _CJK_SHARE * weights
    codes: list[str | None] = [None] * len(column)
    scores = np.zeros(len(column))
    for row in np.flatnonzero(can_tell & is_cjk).tolist():
        codes[row], letters = _cjk_language(scripts, row, tell_scripts=params.tell_chinese_scripts)
        scores[row] = _CJK_WEIGHT * letters / weights[row]
    rows = np.flatnonzero(can_tell & ~is_cjk).tolist()
    guesses, scores[rows] = _predict(texts, scripts, rows)
    for row, guess in zip(rows, guesses, strict=True):
        codes[row] = guess
    return Languages(codes, scores)


def find_unwanted(languages: Languages, params: LanguageParams) -> Unwanted:
    """Which documents the rules reject; never one whose language could not be told."""
    default = params.min_score or 0.0
    thresholds = np.array([_for_language(params.min_scores, code, default) if code else 0 for code in languages.codes])
    wanted = dict.fromkeys(params.keep or (), 1.0)
    kept = np.array(
        [code is None or params.keep is None or _for_language(wanted, code, 0.0) > 0 for code in languages.codes],
        np.bool_,
    )
    return Unwanted(~kept, languages.scores < thresholds, thresholds)


def _for_language(values: dict[str, float], code: str, default: float) -> float:
    """The value for a language, or for the language without its script."""
    return values.get(code, values.get(code.partition("-")[0], default))


def _cjk_language(scripts: Scripts, row: int, *, tell_scripts: bool) -> tuple[str, int]:
    """Chinese, Japanese or Korean, and the letters in its scripts."""
    han, kana, hangul = int(scripts.han[row]), int(scripts.kana[row]), int(scripts.hangul[row])
    if hangul > han + kana:
        return "ko", hangul + han
    if kana >= _KANA_SHARE * (han + kana):
        return "ja", han + kana
    return _chinese(int(scripts.simplified[row]), int(scripts.traditional[row])) if tell_scripts else "zh", han


def _chinese(simplified: int, traditional: int) -> str:
    if simplified >= max(_MIN_TELLING, _TELLING_RATIO * traditional):
        return "zh-Hans"
    return "zh-Hant" if traditional >= max(_MIN_TELLING, _TELLING_RATIO * simplified) else "zh"


def _predict(texts: Texts, scripts: Scripts, rows: list[int]) -> tuple[list[str], Floats]:
    """The model's best guesses; text in capitals is read in small letters, which it knows better."""
    model, labels = load_model()
    starts, stops = texts.offsets[rows], scripts.ends[rows]
    found = predict(model, texts.data, starts, stops)
    for place in np.flatnonzero(scripts.small[rows] == 0).tolist():
        line = texts.data[starts[place] : stops[place]].tobytes().decode()
        if line.isupper():
            small = np.frombuffer(line.lower().encode(), np.uint8)
            again = predict(model, small, np.array([0]), np.array([small.size]))
            found.labels[place], found.probabilities[place] = again.labels[0], again.probabilities[0]
    codes = [labels[label] for label in found.labels]
    return ["zh" if code in _CHINESE else code for code in codes], np.minimum(found.probabilities, 1)
