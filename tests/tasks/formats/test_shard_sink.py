"""Where records are written: the same shards whether they come one by one or many at once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents.shards import read_batches
from tasks.formats import shard_sink
from tasks.formats.records import Document, Documents, Malformed, Record, Records
from tasks.formats.shard_sink import ShardSink
from tasks.text.buffers import Texts


def together(records: list[Record]) -> list[Records]:
    """Neighbouring documents in one."""
    made: list[Records] = []
    texts: list[bytes] = []
    for record, following in pairwise([*records, None]):
        assert record is not None
        if isinstance(record, Document):
            texts.append(record.text.encode())
        if texts and not isinstance(following, Document):
            offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
            first = record.position - (len(texts) - 1 if isinstance(record, Document) else 0)
            made.append(Documents(first, Texts(np.frombuffer(b"".join(texts), np.uint8), offsets)))
            texts = []
        if isinstance(record, Malformed):
            made.append(record)
    return made


def written(folder: Path, records: list[Records]) -> tuple[dict[str, bytes], dict[str, int]]:
    with ShardSink(folder, 3, 60) as sink:
        for record in records:
            sink.add("web", "a.jsonl", record)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.arrow")}
    return files, dict(sink.counts)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.booleans()), max_size=40))
def test_many_at_once_make_the_same_bytes_as_one_by_one(tmp_path_factory: pytest.TempPathFactory, drawn):
    records: list[Record] = [
        Document(at, text) if is_good else Malformed(at, "empty", "", text[:3])
        for at, (text, is_good) in enumerate(drawn, start=1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_sink, "_BATCH_BYTES", 40)
        patch.setattr(shard_sink, "_BATCH_ROWS", 5)
        one_by_one = written(tmp_path_factory.mktemp("single"), list(records))
        assert written(tmp_path_factory.mktemp("many"), together(records)) == one_by_one


def test_a_part_ends_with_the_document_that_fills_it(tmp_path):
    texts = [b"x" * size for size in (30, 29, 1, 70, 5)]
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    written(tmp_path, [Documents(7, Texts(np.frombuffer(b"".join(texts), np.uint8), offsets))])
    parts = [
        [row for batch in read_batches(path) for row in batch.column("position").to_pylist()]
        for path in sorted((tmp_path / "kept").glob("*.arrow"))
    ]
    assert parts == [[7, 8, 9], [10], [11]]
