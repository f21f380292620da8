"""Arrow IPC: files, streams, saved datasets, projection, damage."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pytest

from tasks.formats.arrow_table import read_arrow
from tasks.formats.records import Document, Malformed, ReadOptions, Record

TEXTS = [f"row {n} 静夜思" for n in range(30)]
OPENERS: dict[str, Any] = {"file": ipc.new_file, "stream": ipc.new_stream}


def packed(table: pa.Table, how: str = "file", compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=compression)
    with OPENERS[how](sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=10)
    return sink.getvalue()


Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """`read(data, **options)`: the records of a file with these bytes."""

    def read_bytes(data: bytes, **options: object) -> list[Record]:
        (tmp_path / "t.arrow").write_bytes(data)
        return list(read_arrow(tmp_path / "t.arrow", ReadOptions(**options)))  # type: ignore[arg-type]

    return read_bytes


@pytest.mark.parametrize("how", ["file", "stream"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_files_and_streams_are_read(read: Read, how: str, compression: str | None):
    data = packed(pa.table({"id": list(range(30)), "text": TEXTS}), how, compression)
    assert read(data) == [Document(n, text) for n, text in enumerate(TEXTS, start=1)]


def test_feather_files_are_arrow_files(tmp_path: Path):
    table = pa.table({"text": TEXTS})
    feather.write_feather(table, tmp_path / "t.feather")
    assert [record.text for record in read_arrow(tmp_path / "t.feather", ReadOptions())] == TEXTS


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
)
def test_every_string_type_is_text(read: Read, kind: pa.DataType):
    column = pa.array(TEXTS, pa.string()).cast(kind)
    assert [record.text for record in read(packed(pa.table({"text": column})))] == TEXTS


def test_text_and_metadata_may_be_fields_of_a_struct(read: Read):
    rows = [{"body": {"text": "a"}, "lang": "en"}, {"body": None, "lang": "zh"}, None]
    kind = pa.struct([("body", pa.struct([("text", pa.string())])), ("lang", pa.string())])
    table = pa.table({"meta": pa.array(rows, kind), "n": [1, 2, 3]})
    records = read(packed(table), text_field="meta.body.text", metadata_fields=("n", "meta.lang", "absent"))
    assert records[0] == Document(1, "a", '{"n":1,"meta.lang":"en"}')
    assert [record.position for record in records if isinstance(record, Malformed)] == [2, 3]


def test_a_null_column_beside_the_text_does_not_matter_and_a_null_text_costs_its_row(read: Read):
    table = pa.table(
        {"meta": pa.nulls(2), "text": pa.array(["a", None]), "odd": pa.array([[], [1]], pa.list_(pa.int8()))}
    )
    records = read(packed(table, "stream"), metadata_fields=("meta",))
    assert records == [Document(1, "a", '{"meta":null}'), Malformed(2, "missing_text", "'text' is null")]


def test_a_damaged_column_that_is_not_wanted_costs_nothing(read: Read):
    table = pa.table({"text": TEXTS, "other": ["x" * 400 + str(n) for n in range(30)]})
    data = bytearray(packed(table, compression="zstd"))
    frames = [at for at in range(len(data)) if data.startswith(b"\x28\xb5\x2f\xfd", at)]
    data[frames[-1] : frames[-1] + 4] = b"\0\0\0\0"  # the values of `other` in the last batch
    assert [record.text for record in read(bytes(data))] == TEXTS
    assert [type(record) for record in read(bytes(data), text_field="other")].count(Malformed) == 1


@pytest.mark.parametrize("how", ["file", "stream"])
def test_a_damaged_batch_costs_only_itself(read: Read, how: str):
    data = bytearray(packed(pa.table({"text": [text + "x" * 100 for text in TEXTS]}), how, "zstd"))
    frames = [at for at in range(len(data)) if data.startswith(b"\x28\xb5\x2f\xfd", at)]
    for at in frames[len(frames) // 3 : 2 * len(frames) // 3]:
        data[at : at + 4] = b"\0\0\0\0"
    records = read(bytes(data))
    assert [record.text[:5] for record in records if isinstance(record, Document)] == [
        text[:5] for text in TEXTS[:10] + TEXTS[20:]
    ]
    assert [(r.position, r.rule) for r in records if isinstance(r, Malformed)] == [(11, "damaged_arrow")]


@pytest.mark.parametrize("how", ["file", "stream"])
def test_a_cut_file_gives_the_batches_before_the_cut(read: Read, how: str):
    data = packed(pa.table({"text": TEXTS}), how)
    cut = data[: data.index(b"row 25")]
    *documents, last = read(cut)
    assert [record.text for record in documents] == TEXTS[:20]
    assert isinstance(last, Malformed)
    assert (last.position, last.rule) == (21, "damaged_arrow")


def test_offsets_that_point_outside_are_refused(read: Read):
    data = bytearray(packed(pa.table({"text": ["a" * 40, "b" * 40]})))
    at = data.index((40).to_bytes(4, "little") + (80).to_bytes(4, "little"))
    data[at : at + 8] = (1 << 30).to_bytes(4, "little") * 2
    (record,) = read(bytes(data))
    assert isinstance(record, Malformed)
    assert record.rule == "damaged_arrow"


def test_indices_that_point_outside_their_dictionary_are_refused(read: Read):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1], pa.int64()), pa.array(["a", "b"]))
    data = bytearray(packed(pa.table({"text": column})))
    at = data.rindex((1).to_bytes(8, "little") + (0).to_bytes(8, "little"))
    data[at + 3] = 0x7F
    (record,) = read(bytes(data))
    assert isinstance(record, Malformed)
    assert record.rule == "damaged_arrow"


@pytest.mark.parametrize("data", [b'{"text": "a"}\n', b"PAR1....", b"FEA1....", bytes(9)])
def test_what_is_no_arrow_file_is_not_what_its_name_says(read: Read, data: bytes):
    (record,) = read(data)
    assert isinstance(record, Malformed)
    assert record.rule == "not_what_its_name_says"


def test_an_empty_file_has_no_records(read: Read):
    assert read(b"") == []


def test_a_missing_column_says_what_is_there(read: Read):
    data = packed(pa.table({"body": ["a"], "score": [1.5]}))
    assert read(data) == [Malformed(0, "missing_text", "no column 'text'; columns are body, score")]
    assert read(data, text_field="score") == [Malformed(0, "missing_text", "column 'score' holds double, not strings")]


def test_what_datasets_saves_to_disk_is_read_as_it_is(tmp_path: Path):
    from datasets import Dataset

    meta = [{"tags": ["a", "b"], "n": n} for n in range(30)]
    Dataset.from_dict({"text": TEXTS, "meta": meta}).save_to_disk(tmp_path / "d", num_shards=2)
    first, second = sorted((tmp_path / "d").glob("data-*.arrow"))
    records = [*read_arrow(first, ReadOptions(metadata_fields=("meta",))), *read_arrow(second, ReadOptions())]
    assert [record.text for record in records] == TEXTS
    assert isinstance(records[7], Document)
    assert records[7].metadata is not None
    assert json.loads(records[7].metadata) == {"meta": {"tags": ["a", "b"], "n": 7}}
