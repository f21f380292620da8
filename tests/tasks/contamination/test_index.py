"""The index: its size is bounded, and what it still finds."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.contamination.evaluation import HeldOutPart, Items, collect
from tasks.contamination.index import Index, build_index
from tasks.contamination.ngrams import NgramSizes
from tasks.contamination.scanning import Scanner, read_hits
from tasks.contamination.verdicts import Overlaps, Rules, find_overlaps
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer

SIZES = NgramSizes(13, 13, 8, 13)


def shard(path: Path, texts: list[str]) -> Path:
    rows = [{"id": f"{n:032x}", "source": "s", "path": "p", "position": n, "text": t} for n, t in enumerate(texts)]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))
    return path


def items_of(folder: Path, texts: list[str]) -> Items:
    part = HeldOutPart("test", shard(folder / "test.arrow", texts))
    collect(part, folder / "items.arrow", sizes=SIZES, max_bytes=1_000_000)
    return Items([("test", folder / "items.arrow")])


def overlaps_of(folder: Path, texts: list[str], index: Index) -> Overlaps:
    found = Scanner(index, SIZES).scan(shard(folder / "train.arrow", texts), folder=folder)
    rules = Rules(0.5, np.ones(len(index.table.keys), np.bool_), range(len(index.totals)))
    return find_overlaps(read_hits(found), index, rules).reaching(rules.min_overlap)


def words(first: int, number: int) -> str:
    """Made-up words, none of them twice."""
    return " ".join(f"w{n}" for n in range(first, first + number))


def test_a_sample_of_many_ngrams_keeps_short_texts_whole_and_finds_long_ones(tmp_path: Path):
    texts = [words(0, 5_000), words(10_000, 40), words(20_000, 9)]
    items = items_of(tmp_path, texts)
    assert build_index(items).totals.tolist() == [5_000 - 12, 40 - 12, 1]
    index = build_index(items, max_ngrams=500)
    assert index.totals[1:].tolist() == [28, 1]
    assert 300 < index.totals[0] < 700  # a tenth, 32 n-grams at the very least
    half, third = words(0, 3_500), words(0, 1_600)
    documents = [
        texts[0],
        f"{words(90_000, 30)} {texts[1]}",
        f"so {texts[2]} then",
        half,
        f"{third} {words(80_000, 9_000)}",
    ]
    found = overlaps_of(tmp_path, documents, index)
    assert list(zip(found.rows.tolist(), found.items.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 2), (3, 0)]
    assert found.shares.tolist() == [1.0, 1.0, 1.0, 1.0]  # the fourth is all evaluation text, though not all of it


def test_without_a_sample_shares_are_exact(tmp_path: Path):
    index = build_index(items_of(tmp_path, [words(0, 112)]))  # 100 n-grams
    documents = [f"{words(0, 72)} {words(500, 200)}", f"{words(0, 61)} {words(500, 200)}"]  # 60 and 49 of them
    found = overlaps_of(tmp_path, documents, index)
    assert (found.rows.tolist(), found.shares.tolist()) == ([0], [0.6])


def test_the_wording_of_a_set_belongs_to_no_text_of_it(tmp_path: Path):
    prompt = words(0, 40)
    index = build_index(items_of(tmp_path, [f"{prompt} {words(1_000 * n, 15)}" for n in range(1, 102)]))
    found = overlaps_of(tmp_path, [prompt, f"{words(90_000, 9)} {prompt} {words(5_000, 15)}"], index)
    assert list(zip(found.rows.tolist(), found.items.tolist(), strict=True)) == [(1, 4)]


def test_no_text_makes_an_empty_index(tmp_path: Path):
    index = build_index(items_of(tmp_path, ["too short", ""]))
    assert (len(index.table.keys), index.totals.tolist(), index.is_too_short.tolist()) == (0, [0, 0], [True, True])
    assert len(overlaps_of(tmp_path, [words(0, 50)], index).rows) == 0
