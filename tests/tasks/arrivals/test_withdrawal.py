"""Documents of files that have gone."""

import json
from pathlib import Path

import pyarrow as pa

from tasks.arrivals.withdrawal import NEW, WithdrawnFile, find_withdrawn
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer


def shard(path: Path, *rows: tuple[str, str, str]) -> Path:
    """Documents by id, source and path."""
    others = {"position": 0, "text": "x", "metadata": None, "language": None}
    made = [{"id": doc_id, "source": source, "path": file, **others} for doc_id, source, file in rows]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(made, schema=DOCUMENT))
    return path


def gone(*files: tuple[str, str]) -> list[str]:
    return [json.dumps({"source": source, "path": path, "size_bytes": 1, "sha256": "0"}) for source, path in files]


def test_a_document_that_stands_elsewhere_was_not_withdrawn(tmp_path):
    learned = shard(tmp_path / "a", ("1", "web", "x.txt"), ("2", "web", "x.txt"), ("3", "web", "y.txt"))
    present = shard(tmp_path / "b", ("2", "web", "moved.txt"), ("3", "web", "y.txt"))
    assert find_withdrawn(gone(("web", "x.txt")), [learned], [present]) == [WithdrawnFile("web", "x.txt", 1)]


def test_members_of_archives_and_documents_that_were_new_then_are_found(tmp_path):
    learned = shard(tmp_path / "a", ("1", f"web{NEW}", "all.zip!/x.txt"), ("2", "books", "all.zip!/x.txt"))
    assert find_withdrawn(gone(("web", "all.zip")), [learned], []) == [WithdrawnFile("web", "all.zip", 1)]


def test_where_no_file_is_gone_nothing_is_read(tmp_path):
    assert find_withdrawn([], [tmp_path / "missing"], [tmp_path / "missing"]) == []
