"""Texts without the passages that documents before them have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from params.dedup import RepeatedPassageParams
from tasks.duplicates.clusters import Flags, Indices
from tasks.duplicates.passages import Passages, find_passages
from tasks.duplicates.repeats import Repeated
from tasks.text.buffers import Texts, texts_of

REPEATED, REMAINDER = "repeated_passage", "repeated_passage.remainder"

_CLOSING = re.compile(r"^[.!?。！？…,，;；:：)\]）】」』”’\"']+")
"""What ends a passage without being a token of it."""
_BLANK = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Cut:
    """What becomes of the texts of a batch that have repeated passages; by row."""

    texts: dict[int, str]
    """What is left of those that stay."""
    dropped: dict[int, tuple[str, float, float]]
    """Rule, value and threshold of those that go."""
    examples: dict[int, str]
    """By number of the passage: how it reads in its first document."""


def cut_texts(
    column: pa.LargeStringArray, wanted: Flags, ranks: Indices, repeated: Repeated, params: RepeatedPassageParams
) -> Cut:
    """Cut repeated passages out of the wanted texts of a column, or drop those texts."""
    passages = find_passages(column, wanted, params)
    numbers = repeated.look_up(passages.hashes)
    hits = np.flatnonzero(numbers >= 0)
    is_first = repeated.firsts[numbers[hits]] == ranks[passages.owners[hits]]
    texts = texts_of(column)
    examples = _examples(texts, passages, numbers, hits[is_first], repeated)
    by_row = dict(_by_row(passages, hits[~is_first] if params.keep_first else hits))
    if params.action == "drop":
        counts = {row: float(repeated.counts[numbers[at]].max()) for row, at in by_row.items()}
        return Cut({}, {row: (REPEATED, count, float(params.min_documents)) for row, count in counts.items()}, examples)
    left = {row: _without(texts, row, passages.spans[at].tolist()) for row, at in by_row.items()}
    short = _too_short(left, params)
    return Cut({row: text for row, text in left.items() if row not in short}, short, examples)


def _by_row(passages: Passages, hits: Indices) -> Iterator[tuple[int, Indices]]:
    """The passages of each text, by where they start."""
    hits = hits[np.lexsort((passages.spans[hits, 0], passages.owners[hits]))]
    rows, starts = np.unique(passages.owners[hits], return_index=True)
    for row, (first, last) in zip(rows.tolist(), pairwise([*starts.tolist(), len(hits)]), strict=True):
        yield row, hits[first:last]


def _examples(
    texts: Texts, passages: Passages, numbers: Indices, firsts: Indices, repeated: Repeated
) -> dict[int, str]:
    """How the most frequent passages read."""
    shown = firsts[np.isin(numbers[firsts], repeated.most_frequent)]
    return {int(numbers[at]): _text(texts, *passages.spans[at].tolist()) for at in shown[::-1].tolist()}


def _without(texts: Texts, row: int, spans: list[list[int]]) -> str:
    """A text without some spans, given by their start; what ended them goes with them."""
    at, stop = int(texts.offsets[row]), int(texts.offsets[row + 1])
    pieces = []
    for start, end in spans:
        if start >= at:
            pieces.append(_text(texts, at, start))
        at = max(at, end)
    pieces.append(_text(texts, at, stop))
    left = "".join([pieces[0], *(_CLOSING.sub("", piece) for piece in pieces[1:])])
    return _BLANK.sub("\n\n", left).strip()


def _too_short(texts: dict[int, str], params: RepeatedPassageParams) -> dict[int, tuple[str, float, float]]:
    """Those of which too little is left."""
    column = pa.array(list(texts.values()), pa.large_string())
    found = find_passages(column, np.ones(len(texts), np.bool_), params)
    least = np.where(found.unspaced, params.min_remaining_characters, params.min_remaining_words)
    figures = zip(texts, found.num_tokens.tolist(), least.tolist(), strict=True)
    return {row: (REMAINDER, float(tokens), float(least)) for row, tokens, least in figures if tokens < least}


def _text(texts: Texts, start: int, stop: int) -> str:
    return bytes(texts.data[start:stop]).decode()
