"""Every kind of file, in every packing, from every place: alone, in a tar, in a zip and behind a URL."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from zstandard import ZstdCompressor

from tasks.files.places import RawFile
from tasks.files.remote import RemoteFile, RemoteRoot
from tasks.formats.compression import Limits
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import Document, ReadOptions
from tasks.formats.registry import READERS
from tasks.formats.tfrecord import write_tfrecord

POEM = "床前明月光，疑是地上霜。"
ROWS = pa.table({"id": [1, 2], "text": [POEM, "two"]})
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": ZstdCompressor().compress,
}


def parquet() -> bytes:
    pq.write_table(ROWS, sink := io.BytesIO())
    return sink.getvalue()


def arrow(begin: Callable[..., ipc.RecordBatchStreamWriter]) -> bytes:
    with begin(sink := io.BytesIO(), ROWS.schema) as writer:
        writer.write_table(ROWS)
    return sink.getvalue()


def tfrecord() -> bytes:
    write_tfrecord(file := io.BytesIO(), [{"text": POEM}, {"text": "two"}])
    return file.getvalue()


def web_archive() -> bytes:
    bodies = [text.encode() for text in (POEM, "two")]
    heads = [f"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {len(body)}\r\n\r\n".encode() for body in bodies]
    return b"".join(head + body + b"\r\n\r\n" for head, body in zip(heads, bodies, strict=True))


MAIL = f"Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{POEM}".encode()
SEPARATOR = b"From a@b Thu Feb 29 12:00:00 2024\n"
LINES = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in (POEM, "two"))
WHOLE, PAGE = POEM.encode(), f"<html><body><p>{POEM}</p></body></html>".encode()
CONTENTS = {
    **dict.fromkeys([".txt", ".md", ".rst"], WHOLE),
    **dict.fromkeys([".html", ".htm", ".xhtml"], PAGE),
    **dict.fromkeys([".jsonl", ".ndjson"], LINES),
    ".json": json.dumps([{"text": POEM}, {"text": "two"}], indent=1).encode(),
    ".csv": f"id,text\n1,{POEM}\n2,two\n".encode(),
    ".tsv": f"id\ttext\n1\t{POEM}\n2\ttwo\n".encode(),
    **dict.fromkeys([".parquet", ".pq"], parquet()),
    **dict.fromkeys([".arrow", ".feather"], arrow(ipc.new_file)),
    ".ipc": arrow(ipc.new_stream),
    **dict.fromkeys([".tfrecord", ".tfrecords"], tfrecord()),
    **dict.fromkeys([".warc", ".wet"], web_archive()),
    ".mbox": SEPARATOR + MAIL + b"\n\n" + SEPARATOR + b"Subject: y\n\ntwo\n",
    ".eml": MAIL,
}
"""What each ending holds: the poem, and where there is room for it a second document."""
ONE_DOCUMENT = {".txt", ".md", ".rst", ".html", ".htm", ".xhtml", ".eml"}


def tarred(name: str, data: bytes) -> bytes:
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def ways(name: str, data: bytes, folder: Path) -> Iterator[tuple[RawFile, bytes]]:
    """The file alone and in archives, each on disk and in a store that only fsspec knows."""
    files = {name: data, "a.zip": zipped(f"sub/{name}", data)}
    files |= {f"a.tar{packing}": pack(tarred(f"sub/{name}", data)) for packing, pack in PACKINGS.items()}
    memory = fsspec.filesystem("memory")
    for each, content in files.items():
        (folder / each).write_bytes(content)
        yield folder / each, content
        memory.pipe(f"/every-way/{each}", content)
        yield RemoteFile(RemoteRoot.of("memory://every-way", {}), each), content


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("ending", READERS)
def test_a_file_is_read_however_it_is_packed_and_wherever_it_lies(tmp_path: Path, ending: str, packing: str):
    name = f"x{ending}{packing}"
    expected = [POEM] if ending in ONE_DOCUMENT else [POEM, "two"]
    for file, content in ways(name, PACKINGS[packing](CONTENTS[ending]), tmp_path):
        reader = FileReader(ReadOptions(), Unpacking(tmp_path / "spool", Limits(200, 1_000_000), 1_000_000))
        records = [record for _, record in reader.read(file, hashlib.sha256(content).hexdigest())]
        assert all(isinstance(record, Document) for record in records), f"{name} in {file}: {records}"
        assert [record.text.strip() for record in records] == expected, f"{name} in {file}"
