"""Tar and zip archives: their members one after the other as streams. Nothing is extracted, so no entry can escape."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.charset import decode
from tasks.formats.compression import Limits, check_expansion
from tasks.formats.records import Unusable

_MAX_HEADER_BYTES = 4 << 20
_ESCAPE = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\0")
_UTF8_NAME, _ENCRYPTED = 0x800, 0x1
_ZIP_STEP_BYTES = 4096  # zipfile unpacks as much at once of bzip2 and LZMA, whatever comes out


class Member(NamedTuple):
    """A regular file in an archive; `stream` is to be read before the next member is asked for."""

    name: str
    stream: ByteStream


class Refused(NamedTuple):
    """An entry of an archive that is not read."""

    name: str
    rule: str
    detail: str


def tar_members(stream: ByteStream) -> Iterator[Member | Refused]:
    """The entries of a tar archive in order, folders left out.

    Raises Unusable (`not_what_its_name_says`, `damaged_tar`) where the archive cannot be followed any further.
    """
    forward = _Forward(stream)
    num_entries = 0
    try:
        with tarfile.open(fileobj=forward, mode="r:", errors="surrogateescape") as archive:  # type: ignore[call-overload]
            while (entry := archive.next()) is not None:
                archive.members.clear()  # or every entry would be remembered
                num_entries += 1
                if not entry.isdir():
                    yield _tar_entry(forward, entry)
        if forward.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end, too
            raise Unusable("damaged_tar", f"after {num_entries} entries comes neither another nor the end mark")
    except tarfile.TarError as error:
        rule = "damaged_tar" if num_entries else "not_what_its_name_says"
        raise Unusable(rule, f"after {num_entries} entries: {error}") from None


def zip_members(path: Path, limits: Limits) -> Iterator[Member | Refused]:
    """The entries of a zip archive in the order of its directory, folders left out."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Unusable("not_what_its_name_says", f"not a zip archive: {error}") from None
    with archive:
        budget = _Budget(path.stat().st_size, limits)
        for entry in archive.infolist():
            if not entry.is_dir():
                yield _zip_entry(archive, entry, budget)


def _tar_entry(forward: "_Forward", entry: tarfile.TarInfo) -> Member | Refused:
    name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if _ESCAPE.search(name):
        return Refused(_shown(name), "unsafe_name", "the name leads out of the archive")
    if not entry.isreg():
        kind = "link" if entry.islnk() or entry.issym() else "device or pipe"
        return Refused(name, "not_a_file", f"a {kind}{f' to {entry.linkname!a}' if entry.linkname else ''}")
    if entry.issparse():
        return Refused(name, "not_a_file", "a sparse file")
    return Member(name, _TarFile(forward, entry))


def _zip_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: "_Budget") -> Member | Refused:
    name = _zip_name(entry)
    if _ESCAPE.search(name):
        return Refused(_shown(name), "unsafe_name", "the name leads out of the archive")
    if (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000):  # the Unix mode, where there is one
        return Refused(name, "not_a_file", "a link or a device")
    if entry.flag_bits & _ENCRYPTED:
        return Refused(name, "encrypted", "the member needs a password; put the plain file beside the archive")
    return Member(name, _ZipFile(archive, entry, budget))


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name as its maker meant it: old tools write the bytes of their own locale, which zipfile takes for cp437."""
    if entry.flag_bits & _UTF8_NAME or entry.filename.isascii():
        return entry.filename
    try:
        return decode(entry.filename.encode("cp437"))
    except (UnicodeEncodeError, Unusable):
        return entry.filename


def _shown(name: str) -> str:
    return name.replace("\0", "\\0")


class _Forward:
    """A stream as the file that tarfile wants: it can tell its position, and seek forward by reading."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._at = 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        assert position >= self._at, "members are read in order"
        while self._at < position and self.read(min(CHUNK_BYTES, position - self._at)):
            pass
        return self._at

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes unless the stream ends."""
        if size > _MAX_HEADER_BYTES:  # contents are read in smaller pieces
            raise Unusable("damaged_tar", f"a header that claims {size:,} bytes")
        pieces, missing = [], size
        while missing and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self._at += size - missing
        self.last = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return self.last


class _TarFile:
    """The contents of a member of a tar archive, up to where the archive is cut."""

    def __init__(self, archive: _Forward, entry: tarfile.TarInfo) -> None:
        self._archive = archive
        self._at = entry.offset_data
        self._end = entry.offset_data + entry.size

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        self._archive.seek(self._at)
        data = self._archive.read(min(size, CHUNK_BYTES, self._end - self._at))
        self._at += len(data)
        if not data and self._at < self._end:
            raise Unusable("damaged_tar", f"the archive ends {self._end - self._at:,} bytes before this member")
        return data


class _Budget:
    """What the members of a zip archive may become together: they may share their bytes."""

    def __init__(self, archive_bytes: int, limits: Limits) -> None:
        self.limits = limits
        self._archive_bytes = archive_bytes
        self._num_out = 0

    def spend(self, num_out: int) -> None:
        self._num_out += num_out
        check_expansion(self._archive_bytes, self._num_out, Limits(self.limits.max_expansion))


class _ZipFile:
    """The contents of a member of a zip archive, checked by its CRC at the end."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: _Budget) -> None:
        self._archive = archive
        self._entry = entry
        self._budget = budget
        self._file: IO[bytes] | None = None
        simple = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        self._step = CHUNK_BYTES if entry.compress_type in simple else _ZIP_STEP_BYTES

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        try:
            if self._file is None:
                check_expansion(self._entry.compress_size, self._entry.file_size, self._budget.limits)
                self._file = self._archive.open(self._entry)
            data = self._file.read(min(size, self._step))
        except NotImplementedError as error:
            raise Unusable("unsupported_compression", str(error)) from None
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise Unusable("damaged_zip", str(error)) from None
        except OSError as error:
            if error.errno is not None:  # of the disk; those of bzip2 have no number
                raise
            raise Unusable("damaged_zip", str(error)) from None
        self._budget.spend(len(data))
        return data
