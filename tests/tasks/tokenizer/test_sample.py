"""Which documents a tokenizer learns from."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.tokenizer.sample import Sample

DOCS = [(f"{index:032x}", "large" if index % 4 else "small", "x" * (50 + index % 7)) for index in range(400)]


def write(folder, docs, *, rows):
    """Shards of so many rows."""
    for start in range(0, len(docs), rows):
        part = docs[start : start + rows]
        ids, sources, texts = zip(*part, strict=True)
        unknown = pa.nulls(len(part), pa.string())
        columns = [ids, sources, ["p"] * len(part), [0] * len(part), pa.array(texts, pa.large_string())]
        with shard_writer(folder / f"{start:06d}.arrow", DOCUMENT) as writer:
            writer.write_batch(pa.record_batch([*columns, unknown, unknown], schema=DOCUMENT))
    return sorted(folder.glob("*.arrow"))


def chosen(sample):
    return sorted(doc for batch in sample.documents() for doc in batch.column("id").to_pylist())


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shards"), DOCS, rows=100)


@given(st.integers(0, 30_000))
def test_no_more_than_the_limit_is_taken_and_each_source_gives_the_same_share(shards, max_bytes):
    sample = Sample(shards, max_bytes=max_bytes)
    assert sample.size <= max_bytes + 2 * 56  # each source gives one document, however small the limit
    assert sample.num_docs == sum(len(batch) for batch in sample)
    assert sample.size == sum(len(text) for batch in sample for text in batch)
    taken = dict.fromkeys(("large", "small"), 0)
    for batch in sample.documents():
        for source, text in zip(batch["source"].to_pylist(), batch["text"].to_pylist(), strict=True):
            taken[source] += len(text)
    for source, size in taken.items():
        total = sum(len(text) for _, name, text in DOCS if name == source)
        share = min(max_bytes / sum(len(text) for _, _, text in DOCS), 1)
        assert share * total - 56 <= size <= max(share * total, 56)


def test_neither_the_order_nor_the_number_of_shards_matters(shards, tmp_path):
    others = write(tmp_path, DOCS[::-1], rows=33)
    assert chosen(Sample(others, max_bytes=5000)) == chosen(Sample(shards, max_bytes=5000))


def test_a_larger_sample_holds_the_smaller(shards):
    assert set(chosen(Sample(shards, max_bytes=3000))) < set(chosen(Sample(shards, max_bytes=9000)))


def test_no_shards_give_an_empty_sample():
    sample = Sample([], max_bytes=10)
    assert (list(sample), sample.num_docs, sample.size) == ([], 0, 0)
