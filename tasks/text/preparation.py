"""Before the quality rules: broken encodings mended, normal form, no furniture of pages, and the language named."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from params.clean import CleanParams
from params.language import LanguageParams
from tasks.language.identification import Languages, find_unwanted, identify
from tasks.text.boilerplate import drop_lines
from tasks.text.buffers import texts_of
from tasks.text.kernels import Counts
from tasks.text.mojibake import repair
from tasks.text.normalization import normalize
from tasks.text.quality import Removal
from tasks.text.rules import Flags, Rule

NORMALIZATION, BOILERPLATE = "normalization", "boilerplate"


@dataclass(frozen=True)
class Prepared:
    """Texts that the quality rules may be asked of."""

    texts: pa.LargeStringArray
    languages: pa.StringArray
    """ISO 639 code of each, null where it was not told."""
    removals: tuple[Removal, ...]
    rules: tuple[Rule, ...]
    """Whether the language is wanted."""


def prepare(raw: pa.LargeStringArray, params: CleanParams) -> Prepared:
    """Mend, normalize and prune texts, and name their languages."""
    # First of all, for the normal form drops the control characters that broken encodings are made of.
    normal = normalize(repair(raw)[0] if params.repair else raw)
    removals = [Removal(NORMALIZATION, np.zeros(len(raw), np.int64), sizes_of(raw) - sizes_of(normal))]
    texts = normal
    if params.boilerplate:
        pruned = drop_lines(normal, params.boilerplate)
        texts = pruned.column
        removals.append(Removal(BOILERPLATE, pruned.lines_dropped, pruned.bytes_dropped))
    if not params.language:
        return Prepared(texts, pa.nulls(len(raw), pa.string()), tuple(removals), ())
    languages = identify(texts, params.language)
    return Prepared(texts, languages.column, tuple(removals), tuple(_language_rules(languages, params.language)))


def sizes_of(texts: pa.LargeStringArray) -> Counts:
    """Bytes of each text."""
    return texts_of(texts).num_bytes


def _language_rules(languages: Languages, params: LanguageParams) -> Iterator[Rule]:
    """Asked only where the language could be told; a certainty of its own goes before the one for all."""
    is_known: Flags = np.array([code is not None for code in languages.codes], np.bool_)
    if params.keep is not None:
        is_kept = ~find_unwanted(languages, params).keep
        yield Rule("language.keep", is_kept.astype(np.float64), 1.0, True, is_known)
    asked = [_own_score(code or "", params) for code in languages.codes]
    for code, least in params.min_scores.items():
        own: Flags = np.array([found == code for found in asked], np.bool_)
        yield Rule(f"language.min_scores.{code}", languages.scores, least, True, is_known & own)
    if params.min_score is not None:
        others: Flags = np.array([found is None for found in asked], np.bool_)
        yield Rule("language.min_score", languages.scores, params.min_score, True, is_known & others)


def _own_score(code: str, params: LanguageParams) -> str | None:
    """The key of min_scores that stands for a language, with its script or without."""
    return next((key for key in (code, code.partition("-")[0]) if key in params.min_scores), None)
