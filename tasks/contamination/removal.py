"""Shards of training documents without what overlaps with evaluation texts; what leaves is kept with its reason."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from params.decontaminate import DecontaminateParams
from tasks.contamination.cutting import Span, cut, merge
from tasks.contamination.evaluation import Items
from tasks.contamination.index import Index, Mask
from tasks.contamination.linking import link_shard
from tasks.contamination.scanning import ShardHits, hits_path, read_hits
from tasks.contamination.verdicts import Overlaps, Rules, common_share, find_overlaps, worst
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import count_rows, read_batches, shard_writer
from tasks.text.kernels import Counts

CUTS = "cuts"
"""Passages taken out of documents that stay, as rows of REJECTED whose text is the passage."""
BINS = 20
_QUOTE_CHARACTERS = 160
Row = dict[str, Any]


@dataclass
class _Leaving:
    """What leaves a shard; as large as the shard at most."""

    rejected: list[Row] = field(default_factory=list)
    cuts: list[Row] = field(default_factory=list)


class _Found(NamedTuple):
    """What a shard has of evaluation texts."""

    hits: ShardHits
    overlaps: Overlaps
    reasons: Overlaps
    """The worst of each document."""


class Removed(NamedTuple):
    """What was found in a shard, and what became of it."""

    sources: Counter[str]
    """Documents of each source."""
    overlaps: Overlaps
    histogram: Counts
    """Documents by their largest overlap, in BINS bins between 0 and 1."""
    rejected: Counter[tuple[str, str]]
    """Documents that left, by source and rule."""
    num_cuts: int
    """Passages that were cut."""


@dataclass(frozen=True)
class Remover:
    """Writes a shard's train/, rejected/ and cuts/; what has no row is not written."""

    params: DecontaminateParams
    index: Index
    items: Items
    rules: Rules

    def can_be_found(self) -> Mask:
        """Of each evaluation text, whether enough of its n-grams are no common phrases."""
        rare = 1 - common_share(self.index, self.rules.is_rare)
        return (self.index.totals > 0) & (rare > 0) & (rare >= self.rules.min_overlap)

    def remove(self, shard: Path, *, hits: Path, out: Path) -> Removed:
        """Judge a shard by its hits in a folder and write what becomes of it, unless an earlier attempt did."""
        found = read_hits(hits_path(shard, hits))
        every = find_overlaps(found, self.index, self.rules)
        overlaps = every.reaching(self.rules.min_overlap)
        if not (out / "train" / shard.name).exists():
            self._write(shard, found, overlaps, out)
        histogram, _ = np.histogram(worst(every).shares, BINS, (0, 1))
        histogram[0] += len(found.num_ngrams) - histogram.sum()
        cuts = out / CUTS / shard.name
        return Removed(
            sources=_count(shard, "source"),
            overlaps=overlaps,
            histogram=histogram,
            rejected=_count(out / "rejected" / shard.name, "source", "rule"),
            num_cuts=count_rows(cuts) if cuts.exists() else 0,
        )

    def _write(self, shard: Path, hits: ShardHits, overlaps: Overlaps, out: Path) -> None:
        """A shard that stays as it is is linked. train/ gets its name when the others have theirs."""
        train = out / "train" / shard.name
        if not len(overlaps.rows):
            link_shard(shard, train)
            return
        found, start, writer, leaving = _Found(hits, overlaps, worst(overlaps)), 0, None, _Leaving()
        with ExitStack() as files:
            for batch in read_batches(shard):
                staying = self._take_out(batch, start, found, leaving)
                if staying.num_rows:
                    writer = writer or files.enter_context(shard_writer(train, DOCUMENT))
                    writer.write_batch(staying)
                start += batch.num_rows
            for name, rows in (("rejected", leaving.rejected), (CUTS, leaving.cuts)):
                if rows:
                    with shard_writer(out / name / shard.name, REJECTED) as rejected:
                        rejected.write_batch(pa.RecordBatch.from_pylist(rows, schema=REJECTED))

    def _take_out(self, batch: pa.RecordBatch, start: int, found: _Found, leaving: _Leaving) -> pa.RecordBatch:
        """What stays of a batch that begins at a row; what leaves is added to `leaving`."""
        first, last = np.searchsorted(found.reasons.rows, [start, start + batch.num_rows]).tolist()
        if first == last:
            return batch
        stays, replaced = np.ones(batch.num_rows, np.bool_), dict[int, str]()
        for index in range(first, last):
            number = int(found.reasons.rows[index])
            (row,) = batch.slice(number - start, 1).to_pylist()
            reason = self._reason(row, found, index)
            kept, removed = self._split(row["text"], found, number)
            (leaving.rejected if kept is None else leaving.cuts).extend(
                {**row, "text": text, **reason} for text in removed
            )
            stays[number - start] = kept is not None
            if kept is not None:
                replaced[number - start] = kept
        return _with_texts(batch, replaced).filter(pa.array(stays))

    def _split(self, text: str, found: _Found, number: int) -> tuple[str | None, list[str]]:
        """What stays of a text, None for nothing, and the texts that leave."""
        if self.params.action == "document":
            return None, [text]
        first, last = np.searchsorted(found.overlaps.rows, [number, number + 1])
        spans = self._spans(found.hits, number, found.overlaps.items[first:last])
        made = cut(text, spans, margin=self.params.margin_characters, min_piece=self.params.min_piece_characters)
        if not made.pieces or made.num_pieces > self.params.max_pieces:
            return None, [text]
        return made.text, made.removed

    def _spans(self, hits: ShardHits, number: int, items: Any) -> list[Span]:
        """Where a document has rare n-grams of some evaluation texts, in bytes."""
        first, last = np.searchsorted(hits.rows, [number, number + 1])
        keys = hits.keys[first:last]
        places, owners = self.index.expand(keys)
        places = np.unique(places[np.isin(owners, items) & self.rules.is_rare[keys[places]]]) + first
        return list(zip(hits.starts[places].tolist(), hits.ends[places].tolist(), strict=True))

    def _reason(self, row: Row, found: _Found, index: int) -> Row:
        """The columns rule, value, threshold and detail."""
        item = int(found.reasons.items[index])
        spans = self._spans(found.hits, int(found.reasons.rows[index]), [item])
        data = row["text"].encode()
        quote = " ".join(data[spans[0][0] : spans[0][1]].decode().split())[:_QUOTE_CHARACTERS]
        num = len(merge(spans))
        return {
            "rule": f"overlap.{self.items.set_of(item)}",
            "value": float(found.reasons.shares[index]),
            "threshold": self.params.min_overlap,
            "detail": f"{self.items.get(item, 'name')}: {num} passage{'s' * (num > 1)} in common, with “{quote}”",
        }


def _count(shard: Path, *columns: str) -> Counter[Any]:
    """Rows by the values of some columns; none of a shard that was not written."""
    counts: Counter[Any] = Counter()
    for batch in read_batches(shard, columns) if shard.exists() else ():
        values = [batch.column(column).to_pylist() for column in columns]
        counts.update(values[0] if len(columns) == 1 else zip(*values, strict=True))
    return counts


def _with_texts(batch: pa.RecordBatch, replaced: dict[int, str]) -> pa.RecordBatch:
    """A batch in which some rows have another text."""
    if not replaced:
        return batch
    mask = np.zeros(batch.num_rows, np.bool_)
    mask[list(replaced)] = True
    place = batch.schema.get_field_index("text")
    texts = pc.replace_with_mask(
        batch.column(place), pa.array(mask), pa.array(list(replaced.values()), pa.large_string())
    )
    return batch.set_column(place, batch.schema.field(place), texts)
