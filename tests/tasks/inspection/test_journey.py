"""One document's way through results."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.artifacts.manifest import Manifest
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import shard_writer
from tasks.inspection.journey import Place, find_places, follow, holds_documents

Seal = Callable[..., Manifest]
REASON = {"rule": "words.min_words", "value": 3.0, "threshold": 50.0, "detail": None}


def document(number: int, path: str = "a.jsonl") -> dict[str, object]:
    place = {"id": f"{number:02x}" * 16, "source": "books", "path": path, "position": number}
    return {**place, "text": f"text {number}", "metadata": None, "language": None}


def result(seal: Seal, stage: str, **sides: list[dict[str, object]]) -> Manifest:
    def fill(out: Path) -> None:
        for side, rows in sides.items():
            schema = REJECTED if side == "rejected" else DOCUMENT
            with shard_writer(out / side / "000000.arrow", schema) as writer:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))

    return seal(stage, fill)


@pytest.fixture
def results(seal: Seal) -> list[Manifest]:
    """Documents 1 to 4: 1 goes on to training, 2 is rejected by clean, 3 is quarantined, 4 has the text of 1."""
    twin = {**document(1), "position": 4}
    return [
        result(seal, "ingest", kept=[document(1), document(2), twin], rejected=[{**document(3), **REASON}]),
        result(seal, "clean", kept=[document(1), twin], rejected=[{**document(2), **REASON}]),
        result(seal, "split", train=[document(1)], test=[twin]),
    ]


def way(place: Place, results: list[Manifest]) -> list[tuple[str, str, int]]:
    return [(step.stage, step.side, step.row) for step in follow(place, results)]


def test_a_document_is_found_by_id_by_its_beginning_and_by_place(results: list[Manifest]):
    second = Place("02" * 16, "books", "a.jsonl", 2)
    for reference in ("02" * 16, "020202", "books/a.jsonl:2"):
        assert find_places(reference, results[0]) == [second]
    assert str(second) == "books/a.jsonl:2"


def test_a_document_in_quarantine_is_found_too(results: list[Manifest]):
    (found,) = find_places("books/a.jsonl:3", results[0])
    assert way(found, results) == [("ingest", "rejected", 0)]


def test_a_file_means_all_its_documents(results: list[Manifest]):
    assert [place.position for place in find_places("books/a.jsonl", results[0])] == [1, 2, 4, 3]


def test_a_colon_in_a_name_is_part_of_the_name(seal: Seal):
    odd = result(seal, "ingest", kept=[document(1, "a:7"), document(7, "a")])
    assert [(place.path, place.position) for place in find_places("books/a:7", odd)] == [("a:7", 1), ("a", 7)]


def test_the_way_of_a_document_ends_in_its_split_or_at_the_rule_that_dropped_it(results: list[Manifest]):
    first, second = Place("01" * 16, "books", "a.jsonl", 1), Place("02" * 16, "books", "a.jsonl", 2)
    assert way(first, results) == [("ingest", "kept", 0), ("clean", "kept", 0), ("split", "train", 0)]
    assert way(second, results) == [("ingest", "kept", 1), ("clean", "rejected", 0)]
    assert follow(second, results)[-1].document["rule"] == "words.min_words"


def test_two_documents_of_one_text_are_told_apart_by_their_place(results: list[Manifest]):
    twin = Place("01" * 16, "books", "a.jsonl", 4)
    assert way(twin, results) == [("ingest", "kept", 2), ("clean", "kept", 1), ("split", "test", 0)]


def test_results_without_documents_are_told(results: list[Manifest], seal: Seal):
    assert holds_documents(results[0])
    assert not holds_documents(seal("tokens", lambda out: (out / "a.txt").write_text("a")))
