"""The filter families in order: repetition and quality, C4's lines, FineWeb's rules on what they left.

As in datatrove a family is asked of the documents that the families before it kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from params.clean import C4Rules, CleanParams
from tasks.text.buffers import texts_of
from tasks.text.c4 import LINE_RULES, C4Measures, filter_lines
from tasks.text.kernels import Counts
from tasks.text.measures import Request, measure
from tasks.text.rules import (
    Flags,
    Rule,
    Verdicts,
    at_least,
    at_most,
    fineweb_rules,
    judge,
    ratio,
    request_of,
    rules_before_c4,
)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Removal:
    """What a rule removed from each document; both of shape (documents,)."""

    rule: str
    lines: Counts
    """Lines, or marks of citations."""
    num_bytes: Counts


@dataclass(frozen=True)
class Judged:
    """Texts after the filters."""

    texts: pa.LargeStringArray
    verdicts: Verdicts
    removals: tuple[Removal, ...]


def judge_texts(texts: pa.LargeStringArray, params: CleanParams) -> Judged:
    """Hold texts in normal form against every rule that is on; lines that C4 does not want are gone afterwards."""
    request = request_of(params)
    measures = measure(texts, request)
    rules = list(rules_before_c4(params, measures))
    removals: tuple[Removal, ...] = ()
    if params.c4:
        rows = np.flatnonzero(judge(rules).kept)
        before = texts.take(pa.array(rows))
        left, found = filter_lines(before, params.c4)
        rules += _spread(_c4_rules(params.c4, found), rows, len(texts))
        if params.c4.remove_lines:
            removals = tuple(_removals(before, left, found, rows, len(texts)))
            texts = pc.replace_with_mask(texts, pa.array(_flags(rows, len(texts))), left)
    if params.fineweb or params.fineweb_unspaced:
        rows = np.flatnonzero(judge(rules).kept)
        if removals:
            on_lines = Request(short_line_lengths=request.short_line_lengths, split_at_blanks=request.split_at_blanks)
            of_lines = measure(texts.take(pa.array(rows)), on_lines)
        else:
            of_lines = measures.take(rows)
        rules += _spread(fineweb_rules(params, of_lines, measures.unspaced[rows]), rows, len(texts))
    return Judged(texts, judge(rules), removals)


def _c4_rules(rules: C4Rules, found: C4Measures) -> Iterator[Rule]:
    everywhere: Flags = np.ones(len(found.lines), np.bool_)
    bad_lines = ratio(found.lines - found.kept_lines, found.lines)
    yield from at_most("c4.max_bad_lines", bad_lines, rules.max_bad_lines, everywhere)
    yield from at_most("c4.document_phrases", found.document_phrases, 0 if rules.document_phrases else None, everywhere)
    yield from at_most("c4.max_curly_brackets", found.curly_brackets, rules.max_curly_brackets, everywhere)
    yield from at_least("c4.min_sentences", found.sentences, rules.min_sentences, everywhere)
    yield from at_least("c4.remove_lines", found.kept_lines, 1 if rules.remove_lines else None, everywhere)


def _removals(
    before: pa.LargeStringArray, after: pa.LargeStringArray, found: C4Measures, rows: Rows, total: int
) -> Iterator[Removal]:
    """By rule, and as c4.blanks what went with them: blank lines and indents."""
    rest = texts_of(before).num_bytes - texts_of(after).num_bytes - found.citation_bytes
    for index, rule in enumerate(LINE_RULES):
        num_bytes = found.broken_bytes[:, index]
        yield Removal(f"c4.{rule}", _at(rows, found.broken_lines[:, index], total), _at(rows, num_bytes, total))
        rest = rest - num_bytes
    yield Removal("c4.remove_citations", _at(rows, found.citations, total), _at(rows, found.citation_bytes, total))
    yield Removal("c4.blanks", np.zeros(total, np.int64), _at(rows, rest, total))


def _spread(rules: Iterable[Rule], rows: Rows, total: int) -> Iterator[Rule]:
    """Rules over some documents as rules over all of them, asked of those only."""
    for rule in rules:
        values = np.zeros(total)
        values[rows] = rule.values
        yield replace(rule, values=values, applies=_flags(rows[rule.applies], total))


def _at(rows: Rows, counts: Counts, total: int) -> Counts:
    spread = np.zeros(total, np.int64)
    spread[rows] = counts
    return spread


def _flags(rows: Rows, total: int) -> Flags:
    flags = np.zeros(total, np.bool_)
    flags[rows] = True
    return flags
