"""Any raw file to records: the name says which reader, the digest says whether it is still the file that was listed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from params.errors import SourceError
from tasks.artifacts.digest import digest_file
from tasks.files.listing import UNREADABLE
from tasks.formats.byte_stream import ByteStream, HashedFile, content_of, read_whole
from tasks.formats.docstrings import read_python
from tasks.formats.json_lines import read_json_lines
from tasks.formats.parquet_table import read_parquet
from tasks.formats.plain_text import read_plain_text
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable, excerpt, too_large
from tasks.formats.web_page import read_web_page

WholeReader = Callable[[bytes, ReadOptions], Record]
_WHOLE: dict[str, WholeReader] = {
    ".html": read_web_page,
    ".htm": read_web_page,
    ".xhtml": read_web_page,
    ".py": read_python,
}
_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_REMEDY = "run the same command again, and it is read anew; a folder that is written to all the time needs a copy"


def read_file(path: Path, sha256: str, options: ReadOptions) -> Iterator[Record]:
    """The records of a file, in order; at least one, for a file without any is quarantined as empty.

    Raises SourceError when the bytes are not those that the survey digested. The error may come after the last
    record, so what was yielded counts only once the iterator has ended.
    """
    num_records = 0
    try:
        for record in _checked_records(path, sha256, options):
            num_records += 1
            yield record
    except OSError as error:
        if sha256 != UNREADABLE:  # it could be read a moment ago: the same recipe shall not make other bytes
            raise SourceError(f"{path} can no longer be read: {error.strerror}; {_REMEDY}") from None
        yield Malformed(0, "unreadable", error.strerror or str(error))
    else:
        if not num_records:
            yield Malformed(0, "empty", "no record in the file")


def _checked_records(path: Path, sha256: str, options: ReadOptions) -> Iterator[Record]:
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix in _PARQUET and not name.endswith(".gz"):
        yield from _read_parquet(path, sha256, options)
        return
    with closing(HashedFile(path)) as raw:
        stream = content_of(raw, name)
        if suffix in _LINES:
            yield from read_json_lines(stream, options)
        else:
            yield _read_whole(stream, _WHOLE.get(suffix, read_plain_text), options)
        _check(path, raw.digest(), sha256)


def _read_whole(stream: ByteStream, reader: WholeReader, options: ReadOptions) -> Record:
    data = b""
    try:
        data = read_whole(stream, options.max_bytes)
        if len(data) > options.max_bytes:
            return too_large(0, len(data), options, data)
        return reader(data, options)
    except Unusable as problem:
        return problem.at(0)._replace(text=excerpt(data or problem.data))


def _read_parquet(path: Path, sha256: str, options: ReadOptions) -> Iterator[Record]:
    """Parquet is read here and there, so the digest is taken first and the file's times are compared at the end."""
    before = path.stat()
    _check(path, digest_file(path), sha256)
    yield from read_parquet(path, options)
    after = path.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        _check(path, "", sha256)


def _check(path: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise SourceError(f"{path} changed after the survey; {_REMEDY}")
