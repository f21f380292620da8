"""The order of documents, whatever order they lie in."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from params.dedup import DedupParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_name, shard_writer
from tasks.duplicates.ranking import order_of


def row(source: str, path: str, position: int = 0, *, id: int = 0, metadata: object = None) -> dict[str, object]:
    text = None if metadata is None else json.dumps(metadata)
    place = {"source": source, "path": path, "position": position}
    return {"id": f"{id:032x}", **place, "text": "t", "metadata": text, "language": None}


def ordered(folder: Path, rows: list[dict[str, object]], sizes: list[int] | None = None, **params) -> list[int]:
    """Numbers of the rows from the first to the last; two rows to a shard."""
    paths = []
    for start in range(0, len(rows), 2):
        paths.append(folder / shard_name(start))
        with shard_writer(paths[-1], DOCUMENT) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows[start : start + 2], schema=DOCUMENT))
    return order_of(paths, np.array(sizes or [1] * len(rows)), DedupParams(**params)).tolist()


def test_source_then_path_then_position_then_id(tmp_path):
    rows = [
        row("web", "b", 2),
        row("web", "b", 1, id=2**64),
        row("books", "a", 1),
        row("web", "b", 1, id=1),
        row("web", "B", 9),
        row("web", "文", 1),
    ]
    assert ordered(tmp_path, rows) == [4, 3, 1, 0, 5, 2]


def test_an_arrival_field_goes_before_the_source_unless_sources_have_priority(tmp_path):
    dates = ["2024-03-01", "2024-02-29T23:59:59Z", None, "2024-02-29"]
    rows = [row("web" if n % 2 else "books", "a", n, metadata={"date": date}) for n, date in enumerate(dates)]
    rows.append(row("books", "a", 9))
    assert ordered(tmp_path, rows, arrival_field="date") == [3, 1, 0, 2, 4]
    by_source = ordered(tmp_path, rows, arrival_field="date", survivor="source_priority")
    assert by_source == [0, 2, 4, 3, 1]


def test_numbers_as_dates_are_ordered_by_value(tmp_path):
    rows = [row("web", "a", n, metadata={"time": time}) for n, time in enumerate([10, 9.5, True, {}, 1_700_000_000])]
    assert ordered(tmp_path, rows, arrival_field="time") == [1, 0, 4, 2, 3]


def test_the_longest_comes_first_and_among_equals_the_earliest(tmp_path):
    rows = [row("web", "b"), row("web", "a"), row("web", "c")]
    assert ordered(tmp_path, rows, [5, 5, 7], survivor="longest") == [2, 1, 0]


@pytest.mark.parametrize("survivor", ["earliest", "longest", "source_priority"])
def test_files_in_any_order_give_the_same_order(survivor, tmp_path):
    rows = [row("web", f"{n % 7}", n % 3, id=n, metadata={"date": f"2024-01-{n % 4:02}"}) for n in range(40)]
    sizes = [n % 5 for n in range(40)]
    expected = None
    for seed in range(5):
        places = random.Random(seed).sample(range(40), 40)
        (tmp_path / f"{seed}").mkdir()
        shuffled = [rows[place] for place in places]
        found = ordered(
            tmp_path / f"{seed}", shuffled, [sizes[p] for p in places], survivor=survivor, arrival_field="date"
        )
        ids = [shuffled[number]["id"] for number in found]
        expected = expected or ids
        assert ids == expected


def test_no_documents_have_an_order_too(tmp_path):
    assert ordered(tmp_path, []) == []
