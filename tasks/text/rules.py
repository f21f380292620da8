"""The quality filters as rules over many documents: what was measured, what is asked, who breaks it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from params.clean import CharacterRules, CleanParams, FineWebRules, LineRules, NgramLimits, RepetitionRules, WordRules
from tasks.text.kernels import Counts
from tasks.text.measures import Floats, Measures, NgramSizes, Request

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
    at_least: bool
    """Whether values below the threshold break the rule, or those above it."""
    applies: Flags
    """Documents of which it is asked."""

    @property
    def broken(self) -> Flags:
        """Documents that break it."""
        beyond = self.values < self.threshold if self.at_least else self.values > self.threshold
        return self.applies & beyond


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


def judge(rules: Sequence[Rule]) -> Verdicts:
    """The first rule that each document breaks, in the order given."""
    broken = np.stack([rule.broken for rule in rules])
    return Verdicts(rules, np.where(broken.any(axis=0), broken.argmax(axis=0), KEPT))


def request_of(params: CleanParams) -> Request:
    """What the rules look at."""
    return Request(
        stop_words=params.words.stop_words if params.words else (),
        stop_characters=params.characters.stop_words if params.characters else (),
        short_line_lengths=(_short_line_length(params.fineweb), _short_line_length(params.fineweb_unspaced)),
        ngrams=_ngram_sizes(params.repetition),
        ngrams_unspaced=_ngram_sizes(params.repetition_unspaced),
        split_at_blanks=params.word_split == "whitespace",
    )


def rules_before_c4(params: CleanParams, of: Measures) -> Iterator[Rule]:
    """Empty documents, repetition and quality, in FineWeb's order."""
    everywhere = np.ones(len(of.lines), np.bool_)
    yield Rule(EMPTY, of.characters.astype(np.float64), 1.0, True, everywhere)
    if params.repetition:
        yield from _repetition_rules("repetition", params.repetition, of, ~of.unspaced)
    if params.repetition_unspaced:
        yield from _repetition_rules("repetition_unspaced", params.repetition_unspaced, of, of.unspaced)
    if params.words:
        yield from _word_rules(params.words, of, ~of.unspaced)
    if params.characters:
        yield from _character_rules(params.characters, of, of.unspaced)
    if params.lines:
        yield from _line_rules(params.lines, of, everywhere)


def fineweb_rules(params: CleanParams, of: Measures, unspaced: Flags) -> Iterator[Rule]:
    """FineWeb's own rules, on the text that C4's rules left."""
    if params.fineweb:
        yield from _fineweb_rules("fineweb", params.fineweb, of, of.short_lines, ~unspaced)
    if params.fineweb_unspaced:
        yield from _fineweb_rules("fineweb_unspaced", params.fineweb_unspaced, of, of.short_lines_unspaced, unspaced)


def _repetition_rules(section: str, rules: RepetitionRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    for name, counts, whole, limit in (
        ("max_duplicate_paragraphs", of.duplicate_paragraphs, of.paragraphs, rules.max_duplicate_paragraphs),
        (
            "max_duplicate_paragraph_characters",
            of.duplicate_paragraph_characters,
            of.length,
            rules.max_duplicate_paragraph_characters,
        ),
        ("max_duplicate_lines", of.duplicate_lines, of.lines, rules.max_duplicate_lines),
        ("max_duplicate_line_characters", of.duplicate_line_characters, of.length, rules.max_duplicate_line_characters),
    ):
        yield from at_most(f"{section}.{name}", ratio(counts, whole), limit, applies)
    column = 0
    for name, limits in (("max_top_ngram", rules.max_top_ngram), ("max_duplicate_ngrams", rules.max_duplicate_ngrams)):
        for size, share in _asked(limits):
            yield from at_most(f"{section}.{name}.{size}", ratio(of.ngrams[:, column], of.length), share, applies)
            column += 1


def _word_rules(rules: WordRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    mean_length = ratio(of.word_characters, of.words)
    is_latin = applies & (of.latin_letters >= _MIN_LATIN * of.letters)
    yield from at_least("words.min_words", of.words, rules.min_words, applies)
    yield from at_most("words.max_words", of.words, rules.max_words, applies)
    yield from at_least("words.min_mean_word_length", mean_length, rules.min_mean_word_length, applies)
    yield from at_most("words.max_mean_word_length", mean_length, rules.max_mean_word_length, applies)
    alphabetic = ratio(of.alphabetic_words, of.tokens)
    yield from at_least("words.min_alpha_words", alphabetic, rules.min_alpha_words, applies)
    yield from at_least("words.min_stop_words", of.stop_words, rules.min_stop_words, is_latin)


def _character_rules(rules: CharacterRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    everywhere, unspaced = np.ones(len(applies), np.bool_), ratio(of.unspaced_letters, of.letters)
    yield from at_least("characters.min_characters", of.letters, rules.min_characters, applies)
    yield from at_most("characters.max_characters", of.letters, rules.max_characters, applies)
    yield from at_least("characters.min_letters", ratio(of.letters, of.characters), rules.min_letters, applies)
    yield from at_least("characters.min_unspaced", unspaced, rules.min_unspaced, everywhere)
    yield from at_least("characters.min_stop_words", of.stop_characters, rules.min_stop_words, applies)


def _line_rules(rules: LineRules, of: Measures, applies: Flags) -> Iterator[Rule]:
    units = np.where(of.unspaced, of.letters, of.tokens)
    symbols, mean_length = ratio(np.maximum(of.hashes, of.ellipses), units), ratio(of.line_characters, of.lines)
    yield from at_most("lines.max_symbols_per_word", symbols, rules.max_symbols_per_word, applies)
    yield from at_most("lines.max_bullet_lines", ratio(of.bullet_lines, of.lines), rules.max_bullet_lines, applies)
    yield from at_most(
        "lines.max_ellipsis_lines", ratio(of.ellipsis_lines, of.lines), rules.max_ellipsis_lines, applies
    )
    yield from at_least("lines.min_mean_line_length", mean_length, rules.min_mean_line_length, applies)
    yield from at_most("lines.max_mean_line_length", mean_length, rules.max_mean_line_length, applies)
    yield from at_most("lines.max_line_length", of.longest_line, rules.max_line_length, applies)
    alphanumeric = ratio(of.alphanumeric, of.characters)
    yield from at_least("lines.min_alphanumeric", alphanumeric, rules.min_alphanumeric, applies)


def _fineweb_rules(section: str, rules: FineWebRules, of: Measures, short: Counts, applies: Flags) -> Iterator[Rule]:
    punctuated, written = ratio(of.punctuated_lines, of.lines), of.length - of.newlines
    yield from at_least(f"{section}.min_punctuated_lines", punctuated, rules.min_punctuated_lines, applies)
    yield from at_most(f"{section}.max_short_lines", ratio(short, of.lines), rules.max_short_lines, applies)
    yield from at_most(
        f"{section}.max_duplicate_line_characters",
        ratio(of.duplicate_line_characters, written),
        rules.max_duplicate_line_characters,
        applies,
    )
    newlines = ratio(of.newlines, of.tokens)
    yield from at_most(f"{section}.max_newlines_per_word", newlines, rules.max_newlines_per_word, applies)


def at_least(name: str, values: Counts | Floats, threshold: float | None, applies: Flags) -> Iterator[Rule]:
    """A rule that values below the threshold break; none where the threshold is null."""
    if threshold is not None:
        yield Rule(name, values.astype(np.float64), float(threshold), True, applies)


def at_most(name: str, values: Counts | Floats, threshold: float | None, applies: Flags) -> Iterator[Rule]:
    """A rule that values above the threshold break; none where the threshold is null."""
    if threshold is not None:
        yield Rule(name, values.astype(np.float64), float(threshold), False, applies)


def ratio(part: Counts, whole: Counts) -> Floats:
    """Quotients; 0 where there is nothing to divide by."""
    return part / np.maximum(whole, 1)


def _asked(limits: NgramLimits | None) -> list[tuple[int, float]]:
    return [(size, limit) for size, limit in (limits or {}).items() if limit is not None]


def _ngram_sizes(rules: RepetitionRules | None) -> NgramSizes:
    if rules is None:
        return NgramSizes()
    top = [size for size, _ in _asked(rules.max_top_ngram)]
    duplicate = [size for size, _ in _asked(rules.max_duplicate_ngrams)]
    return NgramSizes((*top, *duplicate), len(top), rules.count_single_ngrams)


def _short_line_length(rules: FineWebRules | None) -> int:
    return rules.short_line_length if rules else 0
