"""Which reader a name gets, and that a file must still be what the survey saw."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zstandard import ZstdCompressor

from params.errors import SourceError
from tasks.files.hashing import UNREADABLE
from tasks.formats.compression import Limits
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import Document, Malformed, ReadOptions, Record
from tasks.formats.tfrecord import write_tfrecord

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": ZstdCompressor().compress,
}
POEM = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"
each_codec = pytest.mark.parametrize("ending", PACK)


def table(texts: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), sink)
    return sink.getvalue()


def arrow(how: str) -> bytes:
    sink = io.BytesIO()
    rows = pa.table({"text": ["row"]})
    with (pa.ipc.new_file if how == "file" else pa.ipc.new_stream)(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def tfrecord(text: str) -> bytes:
    file = io.BytesIO()
    write_tfrecord(file, [{"text": text}])
    return file.getvalue()


def wet(text: str) -> bytes:
    body = text.encode()
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


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
        ("a.json", b'[{"text": "element"}]', "element"),
        ("a.json", b'{"text": "object"}', "object"),
        ("a.json.gz", gzip.compress(b'{"text": "line"}\n'), "line"),
        ("a.json", '[{"text": "静夜思"}]'.encode("utf-16"), "静夜思"),
        ("a.csv", "id;text\r\n1;静夜思\r\n".encode("utf-8-sig"), "静夜思"),
        ("a.csv", f"编号,text\n1,{POEM}\n".encode("gb18030"), POEM),
        ("a.tsv.xz", lzma.compress(b"text\tn\nrow\t1\n"), "row"),
        ("a.arrow", arrow("file"), "row"),
        ("a.ipc", arrow("stream"), "row"),
        ("a.feather.zst", ZstdCompressor().compress(arrow("file")), "row"),
        ("a.tfrecord", tfrecord("静夜思"), "静夜思"),
        ("a.tfrecords.gz", gzip.compress(tfrecord("x")), "x"),
        ("a.wet", wet(POEM), POEM),
        ("a.warc.gz", gzip.compress(wet(POEM)), POEM),
        ("a.wet.zst", ZstdCompressor().compress(wet("x")), "x"),
        ("a.eml", b"Subject: x\n\nBody.\n", "Body.\n"),
        ("a.mbox", b"From a Thu Feb 29 12:00:00 2024\nSubject: x\n\nBody.\n", "Body.\n"),
        ("a.rst", "标题\n====\n".encode(), "标题\n====\n"),
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
        ("a.arrow", b"PAR1", "not_what_its_name_says"),
        ("a.arrow", b"", "empty"),
        ("a.json", b"[]", "empty"),
        ("a.json", b"PK\x03\x04" + bytes(50), "not_what_its_name_says"),
        ("a.csv", bytes(range(256)) * 4, "not_what_its_name_says"),
        ("a.csv", b"id,body\n1,x\n", "missing_text"),
        ("a.csv", b"id,text\n", "empty"),
        ("a.tfrecord", b'{"text": "line"}\n', "not_what_its_name_says"),
        ("a.warc", b'{"text": "line"}\n', "not_what_its_name_says"),
        ("a.mbox", b'{"text": "line"}\n', "not_what_its_name_says"),
        ("a.eml", b"Subject: x\n\n \n", "empty"),
        ("a.txt", b"x" * 2000, "too_large"),
        ("a.txt.gz", gzip.compress(b"x" * 2000), "too_large"),
        ("a.jsonl.zst", gzip.compress(b"{}"), "not_what_its_name_says"),
        ("a.jsonl", gzip.compress(b"{}"), "not_what_its_name_says"),
        ("a.txt", ZstdCompressor().compress(b"x"), "not_what_its_name_says"),
        ("a.html", gzip.compress(b"<p>page</p>"), "not_what_its_name_says"),
        ("a.md", b"PK\x03\x04" + bytes(50), "not_what_its_name_says"),
        ("a.zip", b"no zip", "not_what_its_name_says"),
        ("a.tar.gz", b"no gzip", "not_what_its_name_says"),
        ("a.tar", b"", "not_what_its_name_says"),
        ("a.tar.gz", gzip.compress(tar({"a.png": bytes(30_000_000)})), "expands_too_much"),
        ("a.parquet.gz", gzip.compress(bytes(range(256)) * 8000), "too_large_to_spool"),
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


@each_codec
@pytest.mark.parametrize(
    ("name", "data", "texts"),
    [
        ("a.txt", POEM.encode(), [POEM]),
        ("a.html", b"<p>page</p>", ["page"]),
        ("a.jsonl", b'{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
        ("a.parquet", table(["one", "two"]), ["one", "two"]),
        ("a.tar", tar({"x.txt": b"one", "y.jsonl": b'{"text": "two"}'}), ["one", "two"]),
    ],
)
def test_every_format_is_read_compressed(tmp_path: Path, ending: str, name: str, data: bytes, texts: list[str]):
    assert [record.text for record in read(tmp_path / f"{name}{ending}", PACK[ending](data))] == texts
    assert not list(tmp_path.glob("spool/*"))


@each_codec
def test_lines_before_a_cut_are_kept(tmp_path: Path, ending: str):
    lines = b"".join(
        b'{"text": "line %d %s"}\n' % (n, hashlib.sha256(b"%d" % n).hexdigest().encode()) for n in range(9999)
    )
    packed = PACK[ending](lines)
    *documents, last = read(tmp_path / f"a.jsonl{ending}", packed[: len(packed) * 3 // 4])
    assert isinstance(last, Malformed)
    assert last.rule.startswith("truncated_")
    assert last.position == len(documents) + 1
    assert [record.position for record in documents] == list(range(1, len(documents) + 1))


def archive_files() -> dict[str, bytes]:
    return {
        "b.txt": POEM.encode(),
        "lines.jsonl": b'{"text": "one"}\n{\n{"text": "two"}\n',
        "lines.jsonl.gz": gzip.compress(b'{"text": "three"}'),
        "rows.parquet": table(["four"]),
        "picture.png": b"\x89PNG",
        "module.py": b'"""Doc."""',
        "inner.zip": b"PK",
        "../out.txt": b"out",
        "empty.txt": b"",
    }


def found_in_archive(path: Path, data: bytes) -> list[tuple[str, int, str]]:
    path.write_bytes(data)
    files = reader(path.parent)
    found = list(files.read(path, hashlib.sha256(data).hexdigest()))
    assert files.tally["members_skipped"] == 2
    return [(name, r.position, r.rule if isinstance(r, Malformed) else r.text) for name, r in found]


def test_members_of_an_archive_are_read_as_files_of_their_own_format(tmp_path: Path):
    expected = [
        ("b.txt", 0, POEM),
        ("lines.jsonl", 1, "one"),
        ("lines.jsonl", 2, "malformed_json"),
        ("lines.jsonl", 3, "two"),
        ("lines.jsonl.gz", 1, "three"),
        ("rows.parquet", 1, "four"),
        ("inner.zip", 0, "nested_archive"),
        ("../out.txt", 0, "unsafe_name"),
        ("empty.txt", 0, "empty"),
    ]
    files = archive_files()
    assert found_in_archive(tmp_path / "a.tar", tar(files)) == expected
    assert found_in_archive(tmp_path / "a.TGZ", gzip.compress(tar(files))) == expected
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert found_in_archive(tmp_path / "a.zip", packed.getvalue()) == expected
    assert not list(tmp_path.glob("spool/*"))


def test_an_archive_that_is_cut_keeps_its_first_members(tmp_path: Path):
    data = tar({"a.txt": b"one", "b.jsonl": b'{"text": "two"}\n' * 1000})
    found = [
        record.rule if isinstance(record, Malformed) else record.text
        for record in read(tmp_path / "a.tar", data[:9000])
    ]
    assert found[:2] == ["one", "two"]
    assert set(found[2:-2]) == {"two"}
    assert found[-2:] == ["damaged_tar", "damaged_tar"]  # the member and the archive


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("gb18030", "gb18030"), ("big5", "big5"), ("utf-16", "utf-16"), ("utf-16-be", "utf-16"), ("utf-8-sig", "utf-8")],
)
def test_the_encoding_of_text_is_detected_and_counted(tmp_path: Path, encoding: str, name: str):
    line = f'{{"text": "{POEM}"}}\n'
    for file_name, text in (("a.txt", POEM), ("a.jsonl", line * 3)):
        data = text.encode(encoding)
        (tmp_path / file_name).write_bytes(data)
        files = reader(tmp_path)
        found = list(files.read(tmp_path / file_name, hashlib.sha256(data).hexdigest()))
        assert {record.text for _, record in found} == {POEM}
        assert files.tally == {f"encoding.{name}": 1}


def test_a_declared_encoding_wins(tmp_path: Path):
    text = "Все люди рождаются свободными"
    assert [r.text for r in read(tmp_path / "a.txt", text.encode("cp1251"), encoding="cp1251")] == [text]
    line = b'{"text": "%s"}\n' % text.encode("cp1251")
    found = read(tmp_path / "a.jsonl", line + b'{"text": "\x98"}\n' + line, encoding="cp1251")  # 0x98 is undefined
    assert [record.position for record in found] == [1, 2, 3]
    assert [isinstance(record, Document) for record in found] == [True, False, True]
    (record,) = read(tmp_path / "b.txt", b"\x98", encoding="cp1251")
    assert isinstance(record, Malformed)
    assert record.rule == "wrong_encoding"


def test_a_text_that_is_too_large_is_split_where_asked_for(tmp_path: Path):
    text = "".join(f"paragraph {n} {POEM}\n\n" for n in range(100))
    for name, data in (("a.txt", text.encode()), ("b.md.gz", gzip.compress(text.encode("big5")))):
        found = read(tmp_path / name, data, max_bytes=1000, oversize="split")
        assert [record.position for record in found] == list(range(1, len(found) + 1))
        assert "".join(record.text for record in found) == text
        assert all(len(record.text.encode()) <= 1000 and record.text.endswith("。\n\n") for record in found)
    assert len(read(tmp_path / "c.txt", b"small", max_bytes=1000, oversize="split")) == 1


def test_a_row_that_is_too_large_is_not_split(tmp_path: Path):
    (record,) = read(tmp_path / "a.jsonl", b'{"text": "%s"}' % (b"x" * 200_000), max_bytes=100_000, oversize="split")
    assert isinstance(record, Malformed)
    assert record.rule == "too_large"


def test_an_archive_without_a_file_to_read_is_empty(tmp_path: Path):
    (record,) = read(tmp_path / "a.tar", tar({"a.png": b"x"}))
    assert isinstance(record, Malformed)
    assert record.rule == "empty"
