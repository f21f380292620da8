"""The quality filters: which rule a document breaks first, with the measured value and the threshold.

Order: empty; then the rules of params/clean.py as they stand there: words (spaced scripts) or characters (unspaced),
then lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from params.clean import CharacterRules, CleanParams, LineRules, WordRules
from tasks.text.kernels import Counts
from tasks.text.measures import Floats, Measures

Flags = npt.NDArray[np.bool_]

EMPTY = "empty"
KEPT = -1
_MIN_LATIN = 0.5
"""Share of Latin letters from which the stop words are asked for."""


@dataclass(frozen=True)
class Rule:
    """One rule over many documents."""

    name: str
    """Section and field of the parameter, such as words.min_words."""
    values: Floats
    """What was measured of each document."""
    threshold: float
    broken: Flags


@dataclass(frozen=True)
class Verdicts:
    """The first broken rule of each document."""

    rules: Sequence[Rule]
    first: npt.NDArray[np.int64]
    """Index into rules, or KEPT."""

    @property
    def kept(self) -> Flags:
        """Documents that break no rule."""
        return np.equal(self.first, KEPT)


def judge(params: CleanParams, measures: Measures) -> Verdicts:
    """Hold every document against every rule that is on."""
    rules = tuple(_rules(params, measures))
    broken = np.stack([rule.broken for rule in rules])
    return Verdicts(rules, np.where(broken.any(axis=0), broken.argmax(axis=0), KEPT))


def _rules(params: CleanParams, measures: Measures) -> Iterator[Rule]:
    characters = measures.characters.astype(np.float64)
    yield Rule(EMPTY, characters, 1.0, characters < 1)
    yield from _word_rules(params.words, measures, ~measures.unspaced)
    yield from _character_rules(params.characters, measures, measures.unspaced)
    yield from _line_rules(params.lines, measures)


def _word_rules(rules: WordRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    mean_length = _ratio(of.word_characters, of.words)
    is_latin = applies & (of.latin_letters >= _MIN_LATIN * of.letters)
    yield from _at_least("words.min_words", of.words, rules.min_words, applies)
    yield from _at_most("words.max_words", of.words, rules.max_words, applies)
    yield from _at_least("words.min_mean_word_length", mean_length, rules.min_mean_word_length, applies)
    yield from _at_most("words.max_mean_word_length", mean_length, rules.max_mean_word_length, applies)
    alphabetic = _ratio(of.alphabetic_words, of.tokens)
    yield from _at_least("words.min_alpha_words", alphabetic, rules.min_alpha_words, applies)
    yield from _at_least("words.min_stop_words", of.stop_words, rules.min_stop_words, is_latin)


def _character_rules(rules: CharacterRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    yield from _at_least("characters.min_characters", of.letters, rules.min_characters, applies)
    yield from _at_most("characters.max_characters", of.letters, rules.max_characters, applies)
    yield from _at_least("characters.min_letters", _ratio(of.letters, of.characters), rules.min_letters, applies)


def _line_rules(rules: LineRules, of: Measures) -> Iterator[Rule]:
    everywhere = np.ones(len(of.lines), np.bool_)
    units = np.where(of.unspaced, of.letters, of.tokens)
    for name, counts, whole, limit in (
        ("max_symbols_per_word", np.maximum(of.hashes, of.ellipses), units, rules.max_symbols_per_word),
        ("max_bullet_lines", of.bullet_lines, of.lines, rules.max_bullet_lines),
        ("max_ellipsis_lines", of.ellipsis_lines, of.lines, rules.max_ellipsis_lines),
        ("max_duplicate_lines", of.duplicate_lines, of.lines, rules.max_duplicate_lines),
        (
            "max_duplicate_line_characters",
            of.duplicate_line_characters,
            of.line_characters,
            rules.max_duplicate_line_characters,
        ),
    ):
        yield from _at_most(f"lines.{name}", _ratio(counts, whole), limit, everywhere)


def _at_least(name: str, values: Counts | Floats, threshold: float | None, applies: Flags) -> Iterator[Rule]:
    if threshold is not None:
        yield Rule(name, values.astype(np.float64), threshold, applies & (values < threshold))


def _at_most(name: str, values: Counts | Floats, threshold: float | None, applies: Flags) -> Iterator[Rule]:
    if threshold is not None:
        yield Rule(name, values.astype(np.float64), threshold, applies & (values > threshold))


def _ratio(part: Counts, whole: Counts) -> Floats:
    """Quotients; 0 where there is nothing to divide by."""
    return part / np.maximum(whole, 1)
