"""Any raw file to records: the name says which reader, the digest says whether it is still the file that was listed."""

import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from params.errors import SourceError
from params.ingest import IngestParams
from tasks.artifacts.digest import digest_file
from tasks.files.hashing import UNREADABLE
from tasks.files.places import RawFile
from tasks.formats.archives import Member, Refused, tar_members, zip_members
from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream, HashedStream, Peeked, read_whole
from tasks.formats.charset import detect, plain_name
from tasks.formats.compression import Limits, Unpacked, codec_of_bytes
from tasks.formats.records import Documents, Malformed, ReadOptions, Record, Records, Unusable, excerpt, too_large
from tasks.formats.registry import Format, Reader, format_of
from tasks.formats.splitting import split_text
from tasks.formats.spooling import spooled
from tasks.formats.transcoding import Transcoded, to_utf8

_REMEDY = "run the same command again, and it is read anew; a folder that is written to all the time needs a copy"
Found = tuple[str, Records]
"""The name of the member of an archive, empty for the file itself, and what stood there."""


@dataclass(frozen=True)
class Unpacking:
    """Where and how far packed files may be unpacked."""

    folder: Path
    """For temporary files."""
    limits: Limits
    max_spool_bytes: int

    @classmethod
    def within(cls, params: IngestParams, folder: Path) -> "Unpacking":
        """The limits that the parameters set."""
        max_bytes = None if params.max_unpacked_gb is None else int(params.max_unpacked_gb * 1e9)
        return cls(folder, Limits(params.max_expansion, max_bytes), int(params.max_spool_gb * 1e9))


class FileReader:
    """Reads the files of one source; `tally` counts their encodings and what archives hold that is not read."""

    def __init__(self, options: ReadOptions, unpacking: Unpacking) -> None:
        self.tally: Counter[str] = Counter()
        self._options = options
        self._of_utf8 = replace(options, encoding=None)
        self._unpacking = unpacking

    def read(self, file: RawFile, sha256: str) -> Iterator[tuple[str, Record]]:
        """As `read_many`, one record at a time."""
        for member, found in self.read_many(file, sha256):
            if isinstance(found, Documents):
                yield from ((member, document) for document in found.each())
            else:
                yield member, found
            del found

    def read_many(self, file: RawFile, sha256: str) -> Iterator[Found]:
        """The records of a file, in order; at least one, for a file without any is quarantined as empty.

        Raises SourceError when the bytes are not those that the survey digested. The error may come after the last
        record, so what was yielded counts only once the iterator has ended.
        """
        try:
            yield from self._checked(file, sha256)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # of the disk that is unpacked to
                raise
            reason = error.strerror or str(error)
            if sha256 != UNREADABLE:  # it could be read a moment ago: the same recipe shall not make other bytes
                raise SourceError(f"{file} can no longer be read: {reason}; {_REMEDY}") from None
            yield "", Malformed(0, "unreadable", reason)

    def _checked(self, file: RawFile, sha256: str) -> Iterator[Found]:
        form = format_of(file.name)
        if isinstance(file, Path) and form.codec is None and form.needs_seeking:
            yield from self._seekable(file, form, sha256)
            return
        opened = file.open("rb", buffering=0) if isinstance(file, Path) else file.open()
        with closing(HashedStream(opened)) as raw:
            yield from self._stream(raw, form)
            _check(file, raw.digest(), sha256)

    def _seekable(self, file: Path, form: Format, sha256: str) -> Iterator[Found]:
        """Read here and there, so the digest is taken first and the file's times are compared at the end."""
        before = file.stat()
        _check(file, digest_file(file), sha256)
        yield from self._path(file, form)
        after = file.stat()
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            _check(file, "", sha256)

    def _stream(self, stream: ByteStream, form: Format) -> Iterator[Found]:
        if form.codec is not None:
            stream = Unpacked(stream, form.codec, self._unpacking.limits)
        if form.archive == ".tar":
            yield from self._archive(tar_members(stream))
        elif form.needs_seeking:
            try:
                with spooled(stream, self._unpacking.folder, self._unpacking.max_spool_bytes) as path:
                    yield from self._path(path, form)
            except Unusable as problem:
                yield "", problem.at(0)
        else:
            yield from _or_empty(self._records(stream, form.reader))

    def _path(self, path: Path, form: Format) -> Iterator[Found]:
        if form.archive == ".zip":
            yield from self._archive(zip_members(path, self._unpacking.limits))
        else:
            yield from _or_empty(form.reader.read(path, self._options))

    def _archive(self, members: Iterator[Member | Refused]) -> Iterator[Found]:
        num_records = 0
        try:
            for member in members:
                for found in self._member(member):
                    num_records += 1
                    yield found
        except Unusable as problem:
            yield "", problem.at(0)
        else:
            if not num_records:
                yield "", Malformed(0, "empty", "no file in the archive has the ending of a format that can be read")

    def _member(self, member: Member | Refused) -> Iterator[Found]:
        form = format_of(member.name)
        if isinstance(member, Refused):
            yield member.name, Malformed(0, member.rule, member.detail)
        elif form.archive is not None:
            detail = "an archive in an archive is not opened; unpack the outer one"
            yield member.name, Malformed(0, "nested_archive", detail)
        elif not form.is_known:
            self.tally["members_skipped"] += 1
        else:
            for _, record in self._stream(member.stream, form):
                yield member.name, record

    def _records(self, stream: ByteStream, reader: Reader) -> Iterator[Records]:
        try:
            if reader.is_text or reader.takes == "bytes":
                stream = _refuse_packed(stream)
            if reader.takes == "stream":
                content, options = (self._utf8(stream), self._of_utf8) if reader.is_text else (stream, self._options)
                yield from reader.read(content, options)
            else:
                yield from self._whole(stream, reader)
        except Unusable as problem:
            yield problem.at(0)

    def _whole(self, stream: ByteStream, reader: Reader) -> Iterator[Records]:
        limit, data = self._options.max_bytes, b""
        try:
            data = read_whole(stream, limit)
            if len(data) <= limit:
                content, options = (self._whole_utf8(data), self._of_utf8) if reader.is_text else (data, self._options)
                yield from reader.read_all(content, options)
                return
        except Unusable as problem:
            yield problem.at(0)._replace(text=excerpt(data or problem.data))
            return
        if not reader.can_split or self._options.oversize == "quarantine":
            yield too_large(0, len(data), self._options, data)
            return
        peeked, data = Peeked(stream, first=data), b""
        pieces = split_text(self._utf8(peeked), limit)
        for number, piece in enumerate(pieces, start=1):
            for record in reader.read_all(piece, self._of_utf8):
                yield record._replace(position=number)
                del record

    def _utf8(self, stream: ByteStream) -> ByteStream:
        peeked = stream if isinstance(stream, Peeked) else Peeked(stream)
        codec = self._codec(peeked.first)
        return peeked if codec is None else Transcoded(peeked, codec)

    def _whole_utf8(self, data: bytes) -> bytes:
        codec = self._codec(data)
        return data if codec is None else to_utf8(data, codec)

    def _codec(self, data: bytes) -> str | None:
        """What to decode text with before it is read; None for UTF-8 and for what is in no encoding for certain."""
        if not data:
            return None
        sample = data[:CHUNK_BYTES]
        codec = self._options.encoding or detect(sample, is_whole=len(data) < CHUNK_BYTES)
        self.tally[f"encoding.{plain_name(codec) if codec else 'unknown'}"] += 1
        return None if codec in ("utf-8", "utf-8-sig") else codec


def _refuse_packed(stream: ByteStream) -> Peeked:
    """The stream, unless it is compressed though its name does not say so."""
    peeked = Peeked(stream)
    if codec := codec_of_bytes(peeked.first):
        raise Unusable("not_what_its_name_says", f"{codec.name} data; add {codec.suffix} to the name", peeked.first)
    if peeked.first.startswith(b"PK\x03\x04"):
        raise Unusable("not_what_its_name_says", "a zip archive; name it .zip", peeked.first)
    return peeked


def _or_empty(records: Iterator[Records]) -> Iterator[Found]:
    is_empty = True
    for record in records:
        is_empty = False
        yield "", record
        del record  # it may be large: the next one is made before its name is given anew
    if is_empty:
        yield "", Malformed(0, "empty", "no record in the file")


def _check(file: RawFile, found: str, sha256: str) -> None:
    if found != sha256:
        raise SourceError(f"{file} changed after the survey; {_REMEDY}")
