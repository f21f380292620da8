"""Parquet: string columns of every kind, nulls, bad bytes and damaged row groups."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.formats.columns import rows_per_batch
from tasks.formats.parquet_table import read_parquet
from tasks.formats.records import Document, Malformed, ReadOptions, Record


def read(path: Path, **options: object) -> list[Record]:
    return list(read_parquet(path, ReadOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_rows_of_every_string_type_become_documents(tmp_path: Path, kind: pa.DataType):
    texts = ["one", "静夜思", "three"]
    column = pa.array(texts, pa.string()).cast(kind)
    pq.write_table(pa.table({"id": [1, 2, 3], "text": column}), tmp_path / "t.parquet", row_group_size=2)
    assert read(tmp_path / "t.parquet") == [Document(n, text) for n, text in enumerate(texts, start=1)]


def test_null_empty_and_large_rows_are_quarantined_with_their_row(tmp_path: Path):
    table = pa.table({"text": ["a", None, " ", "x" * 2_000, "b"]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    records = read(tmp_path / "t.parquet", max_bytes=1_000)
    rules = [(r.position, r.rule if isinstance(r, Malformed) else "kept") for r in records]
    assert rules == [(1, "kept"), (2, "missing_text"), (3, "empty"), (4, "too_large"), (5, "kept")]


def test_bytes_that_are_not_utf8_in_a_string_column_cost_one_row(tmp_path: Path):
    column = pa.array([b"a", b"\xff\xfe\xfd", b"b"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column}), tmp_path / "t.parquet")
    records = read(tmp_path / "t.parquet")
    assert [records[0], records[2]] == [Document(1, "a"), Document(3, "b")]
    assert isinstance(records[1], Malformed)
    assert (records[1].position, records[1].rule) == (2, "not_utf8")


def test_a_missing_column_and_a_column_of_numbers_say_what_is_there(tmp_path: Path):
    pq.write_table(pa.table({"body": ["a"], "score": [1.5]}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [Malformed(0, "missing_text", "no column 'text'; columns are body, score")]
    detail = "column 'score' holds double, not strings"
    assert read(tmp_path / "t.parquet", text_field="score") == [Malformed(0, "missing_text", detail)]


def test_only_the_text_column_is_read(tmp_path: Path):
    meta = pa.array([None, None], pa.struct([("a", pa.int64())]))
    pq.write_table(pa.table({"meta": meta, "text": ["a", "b"]}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [Document(1, "a"), Document(2, "b")]


def test_what_is_no_parquet_is_not_what_its_name_says(tmp_path: Path):
    (tmp_path / "t.parquet").write_text('{"text": "a"}')
    (record,) = read(tmp_path / "t.parquet")
    assert isinstance(record, Malformed)
    assert record.rule == "not_what_its_name_says"


def test_a_damaged_row_group_costs_only_its_own_rows(tmp_path: Path):
    path = tmp_path / "t.parquet"
    texts = [f"row {n} " + "x" * 100 for n in range(30)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    records = read(path)
    documents = [record for record in records if isinstance(record, Document)]
    assert [document.text for document in documents] == texts[:10] + texts[20:]
    assert [document.position for document in documents] == [*range(1, 11), *range(21, 31)]
    (bad,) = (record for record in records if isinstance(record, Malformed))
    assert (bad.position, bad.rule) == (11, "damaged_parquet")


def test_a_file_object_is_read_like_a_path(tmp_path: Path):
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "t.parquet")
    with (tmp_path / "t.parquet").open("rb") as file:
        assert list(read_parquet(file, ReadOptions())) == [Document(1, "a"), Document(2, "b")]


def test_metadata_is_a_json_object_of_the_wanted_columns_in_the_order_asked(tmp_path: Path):
    when = datetime(2024, 2, 29, 12, tzinfo=UTC)
    table = pa.table(
        {
            "id": [1, 2],
            "text": ["a", "b"],
            "meta": pa.array([None, {"lang": "zh", "tags": ["x"], "n": Decimal("1.50")}]),
            "when": pa.array([when, None], pa.timestamp("ns", "UTC")),
            "raw": [b"\xff", "文".encode()],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    first, second = read(tmp_path / "t.parquet", metadata_fields=("raw", "when", "meta", "missing", "id"))
    assert first == Document(1, "a", '{"raw":"/w==","when":"2024-02-29T12:00:00+00:00","meta":null,"id":1}')
    assert second == Document(2, "b", '{"raw":"文","when":null,"meta":{"lang":"zh","tags":["x"],"n":"1.50"},"id":2}')


def test_only_wanted_columns_are_read(tmp_path: Path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "junk": ["c", "d"]}), path, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = (
        b"\xff" * column.total_compressed_size
    )
    path.write_bytes(data)
    assert read(path) == [Document(1, "a"), Document(2, "b")]


def test_text_in_a_struct_is_read_without_its_neighbours(tmp_path: Path):
    rows = [{"body": {"text": "a", "html": "x"}, "lang": "en"}, {"body": None, "lang": "zh"}]
    pq.write_table(pa.table({"meta": rows}), tmp_path / "t.parquet")
    records = read(tmp_path / "t.parquet", text_field="meta.body.text", metadata_fields=("meta.lang",))
    assert records == [
        Document(1, "a", '{"meta.lang":"en"}'),
        Malformed(2, "missing_text", "'meta.body.text' is null"),
    ]


def test_a_column_whose_name_has_dots_is_found_by_its_name(tmp_path: Path):
    pq.write_table(pa.table({"a.b": ["x"]}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", text_field="a.b") == [Document(1, "x")]


def test_long_rows_come_few_at_a_time():
    """2 GB of strings in a column overflow 32-bit offsets; 8 MB a batch stay far from that."""
    assert rows_per_batch(size_bytes=3_000_000_000, num_rows=3_000) == 8
    assert rows_per_batch(size_bytes=3_000_000_000, num_rows=2) == 1
    assert rows_per_batch(size_bytes=1_000, num_rows=1_000_000) == 1024
    assert rows_per_batch(size_bytes=0, num_rows=0) == 1


def test_a_large_string_column_in_many_batches_gives_every_row(tmp_path: Path):
    texts = [f"{n} " + "x" * 1_000_000 for n in range(30)]
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), tmp_path / "t.parquet")
    assert [record.text for record in read(tmp_path / "t.parquet")] == texts
