"""Whatever happens to the bytes of a file, its reader gives documents and quarantined records, and never fails."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.records import Document, ReadOptions, Unusable
from tasks.formats.registry import READERS
from tasks.formats.tfrecord import write_tfrecord

ROWS = [{"text": f'{n} 静夜思 "q",\nx', "id": n, "meta": {"a": [n, None], "b": "c"}} for n in range(12)]
FIELDS = ("id", "meta", "url", "subject", "date")


def table(write: Callable[[pa.Table, Any], None]) -> bytes:
    sink = io.BytesIO()
    write(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def write_dictionary(rows: pa.Table, sink: Any) -> None:
    rows = rows.set_column(0, "text", rows["text"].combine_chunks().dictionary_encode())
    with ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)


def write_arrow(rows: pa.Table, sink: Any) -> None:
    with ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=5)


def csv_rows() -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["text", "id"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(ROWS)
    return file.getvalue().encode()


def tfrecord() -> bytes:
    file = io.BytesIO()
    write_tfrecord(file, [{"text": str(row["text"]), "id": [1, 2], "meta": 0.5} for row in ROWS])
    return file.getvalue()


def warc() -> list[bytes]:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>A paragraph.</p>"
    head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: {len(page)}\r\n\r\n"
    return [head.encode() + page + b"\r\n\r\n"] * 4


def mail() -> bytes:
    message = EmailMessage()
    message["Subject"] = "静夜思"
    message["Date"] = "Thu, 29 Feb 2024 12:00:00 +0800"
    message.set_content("床前明月光\n", cte="base64")
    message.add_alternative("<p>page</p>", subtype="html")
    return message.as_bytes()


SAMPLES = {
    "a.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "a.json": json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
    "a.csv": csv_rows(),
    "a.arrow": table(write_arrow),
    "b.arrow": table(write_dictionary),
    "a.parquet": table(lambda rows, sink: pq.write_table(rows, sink, row_group_size=5)),
    "a.tfrecord": tfrecord(),
    "a.warc": b"".join(warc()),
    "packed.warc": b"".join(map(gzip.compress, warc())),
    "a.mbox": b"".join(b"From a@b Thu Feb 29 12:00:00 2024\n" + mail() + b"\n\n" for _ in range(3)),
    "a.eml": mail(),
}


def check(name: str, data: bytes, folder: Path) -> int:
    """How many documents there are, of records that are all fit to be stored."""
    reader = READERS[Path(name).suffix]
    path = folder / name
    path.write_bytes(data)
    content = {"path": path, "stream": io.BytesIO(data), "bytes": data}[reader.takes]
    try:
        records = list(reader.read_all(content, ReadOptions(metadata_fields=FIELDS)))
    except Unusable:
        assert reader.takes == "bytes", "only who reads whole files leaves this to the caller"
        return 0
    for record in records:
        record.text.encode()
        if isinstance(record, Document):
            assert record.text.strip()
            assert record.metadata is None or isinstance(json.loads(record.metadata), dict)
        else:
            assert record.rule
            assert record.detail.encode()
    return sum(isinstance(record, Document) for record in records)


places = st.floats(0, 1, exclude_max=True)
damages = st.lists(
    st.tuples(places, st.sampled_from(["set", "cut", "insert", "end"]), st.binary(min_size=1, max_size=8))
)


@pytest.mark.parametrize("name", SAMPLES)
@given(damages)
def test_damage_is_never_an_error(name: str, changes: list[tuple[float, str, bytes]]):
    data = bytearray(SAMPLES[name])
    for place, how, new in changes:
        at = int(place * len(data))
        if how == "end":
            del data[at:]
        else:
            data[at : at if how == "insert" else at + len(new)] = b"" if how == "cut" else new
    with TemporaryDirectory() as folder:
        check(name, bytes(data), Path(folder))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_themselves_are_whole(name: str, tmp_path: Path):
    assert check(name, SAMPLES[name], tmp_path) in (1, 3, 4, len(ROWS))


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_its_name_says_any_other_file_is_never_an_error(name: str, tmp_path: Path):
    for data in (*SAMPLES.values(), b"", b"\n", bytes(5000), bytes(range(256)) * 40, b"text\n" * 1000):
        check(name, data, tmp_path)
