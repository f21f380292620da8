"""Which reader a name gets, and that a file must still be what the survey saw."""

import gzip
import hashlib
from pathlib import Path

import pytest

from params.errors import SourceError
from tasks.files.hashing import UNREADABLE
from tasks.formats.compression import Limits
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import Document, Malformed, ReadOptions, Record


def reader(folder: Path, **options: object) -> FileReader:
    unpacking = Unpacking(folder / "spool", Limits(200, 100_000_000), 1_000_000)
    return FileReader(ReadOptions(**options), unpacking)  # type: ignore[arg-type]


def read(path: Path, data: bytes, **options: object) -> list[Record]:
    path.write_bytes(data)
    found = reader(path.parent, **options).read(path, hashlib.sha256(data).hexdigest())
    return [record for _, record in found]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", b"\xef\xbb\xbfplain", "plain"),
        ("METADATA", b"Name: x\n\nText", "Name: x\n\nText"),
        ("a.md", "静夜思".encode("utf-16"), "静夜思"),
        ("A.HTML", b"<p>page</p>", "page"),
        ("a.py", b'"""doc"""', "doc"),
        ("a.jsonl", b'{"text": "line"}', "line"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "line"}'), "line"),
        ("a.txt.gz", gzip.compress(b"plain"), "plain"),
    ],
)
def test_the_name_chooses_the_reader(tmp_path: Path, name: str, data: bytes, text: str):
    assert [record.text for record in read(tmp_path / name, data)] == [text]


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n", "empty"),
        ("a.jsonl", b"\n\n", "empty"),
        ("a.jsonl.gz", b"", "empty"),
        ("a.txt", b"ab\0cd", "not_what_its_name_says"),
        ("a.txt", bytes(range(128, 256)), "not_utf8"),
        ("a.jsonl.gz", b'{"text": "line"}', "not_what_its_name_says"),
        ("a.txt.gz", gzip.compress(b"x" * 1000)[:-10], "truncated_gzip"),
        ("a.parquet", b"PAR1", "not_what_its_name_says"),
        ("a.txt", b"x" * 2000, "too_large"),
        ("a.txt.gz", gzip.compress(b"x" * 2000), "too_large"),
    ],
)
def test_a_file_without_a_document_is_quarantined_with_its_rule(tmp_path: Path, name: str, data: bytes, rule: str):
    (record,) = read(tmp_path / name, data, max_bytes=1500)
    assert isinstance(record, Malformed)
    assert record.rule == rule
    assert record.detail


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_file_that_changed_or_vanished_after_the_survey_is_an_error(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b'{"text": "new"}')
    digest = hashlib.sha256(b'{"text": "old"}').hexdigest()
    with pytest.raises(SourceError, match="changed after the survey; run the same command again"):
        list(reader(tmp_path).read(path, digest))
    path.unlink()
    with pytest.raises(SourceError, match="can no longer be read"):
        list(reader(tmp_path).read(path, digest))


def test_a_file_that_the_survey_could_not_read_is_quarantined(tmp_path: Path):
    (tmp_path / "a.txt").symlink_to("nowhere")
    ((_, record),) = reader(tmp_path).read(tmp_path / "a.txt", UNREADABLE)
    assert record == Malformed(0, "unreadable", "No such file or directory")


def test_a_document_is_not_stripped(tmp_path: Path):
    assert read(tmp_path / "a.txt", b"\r\n  a \r\n") == [Document(0, "\r\n  a \r\n")]
