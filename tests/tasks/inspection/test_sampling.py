"""Random documents out of shards."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.documents.schema import REJECTED
from tasks.documents.shards import shard_writer
from tasks.inspection.sampling import sample_documents


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three shards of 4, 0 and 6 documents in batches of two; every other one broke the rule "short"."""
    paths, number = [], 0
    for index, size in enumerate((4, 0, 6)):
        path = tmp_path / f"{index:06d}.arrow"
        with shard_writer(path, REJECTED) as writer:
            for _ in range(size // 2):
                rows = [row(number), row(number + 1)]
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=REJECTED))
                number += 2
        paths.append(path)
    return paths


def row(number: int) -> dict[str, object]:
    place = {"id": f"{number:032x}", "source": "s" if number < 8 else "t", "path": "p", "position": number}
    return {**place, "text": f"text {number}", "rule": ("short", "long")[number % 2], "value": 1.0, "threshold": 2.0}


def positions(shards: list[Path], number: int, seed: int = 0, **where: str) -> list[int]:
    return [row["position"] for row in sample_documents(shards, number, seed=seed, where=where).rows]


def test_a_sample_as_large_as_the_corpus_is_the_corpus(shards: list[Path]):
    sample = sample_documents(shards, 20, seed=0, where={})
    assert sample.among == 10
    assert [(row["position"], row["text"]) for row in sample.rows] == [(n, f"text {n}") for n in range(10)]


def test_a_seed_always_draws_the_same_and_another_one_others(shards: list[Path]):
    assert positions(shards, 4) == positions(shards, 4)
    assert len({tuple(positions(shards, 4, seed=seed)) for seed in range(20)}) > 10


def test_every_document_can_be_drawn(shards: list[Path]):
    assert {position for seed in range(60) for position in positions(shards, 2, seed=seed)} == set(range(10))


def test_only_documents_with_the_wanted_values_are_drawn(shards: list[Path]):
    assert positions(shards, 20, rule="long") == [1, 3, 5, 7, 9]
    assert positions(shards, 20, rule="long", source="t") == [9]
    assert sample_documents(shards, 1, seed=3, where={"source": "t"}).among == 2
    assert positions(shards, 5, rule="none") == []


def test_no_shards_give_no_documents():
    assert sample_documents([], 5, seed=0, where={}).rows == []
