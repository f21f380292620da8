"""The bytes of a raw file as a stream: hashed as they are read, and unpacked when the name ends in .gz."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

from isal import isal_zlib

from tasks.formats.records import Unusable

_CHUNK_BYTES = 1 << 20
_MAGIC = b"\x1f\x8b"


class ByteStream(Protocol):
    """What readers read from."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class HashedFile:
    """A file that digests what is read from it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._sha256 = hashlib.sha256()

    def read(self, size: int = _CHUNK_BYTES, /) -> bytes:
        """The next bytes."""
        data = self._file.read(size) or b""
        self._sha256.update(data)
        return data

    def digest(self) -> str:
        """SHA-256 of the whole file; what nobody asked for is read now."""
        while self.read():
            pass
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Unpacked:
    """The contents of a gzip stream of any number of members; Unusable where it is none, damaged or cut short.

    What stands before the damage is delivered first, which the file objects of the gzip modules do not do.
    """

    def __init__(self, packed: ByteStream) -> None:
        self._file = packed
        self._packed = b""
        self._member: Any = None
        self._num_members = 0
        self._at_end = False

    def read(self, size: int = _CHUNK_BYTES, /) -> bytes:
        """The next bytes, unpacked; only so much of a bomb goes off as is asked for."""
        while self._packed or self._refill() or self._member is not None:
            if self._member is None:
                self._begin_member()
            try:
                data: bytes = self._member.decompress(self._packed, size)
            except isal_zlib.error as error:  # type: ignore[misc]  # its stub names an instance
                raise Unusable("damaged_gzip", str(error)) from None
            self._packed = self._member.unconsumed_tail
            if self._member.eof:
                self._packed = self._member.unused_data.lstrip(b"\0")
                self._member = None
            if data:
                return data
            if self._member is not None and self._at_end:
                raise Unusable("truncated_gzip", "the gzip stream ends before its end mark")
        return b""

    def _refill(self) -> bool:
        self._packed = self._file.read(_CHUNK_BYTES)
        self._at_end = not self._packed
        return not self._at_end

    def _begin_member(self) -> None:
        if not _MAGIC.startswith(self._packed[:2]):
            rule = "damaged_gzip" if self._num_members else "not_what_its_name_says"
            raise Unusable(rule, f"no gzip stream begins with the bytes {self._packed[:8].hex(' ')}")
        self._member = isal_zlib.decompressobj(wbits=31)
        self._num_members += 1


def content_of(raw: HashedFile, name: str) -> ByteStream:
    """What a reader shall see of a file with this name."""
    return Unpacked(raw) if name.endswith(".gz") else raw


def read_whole(stream: ByteStream, max_bytes: int) -> bytes:
    """All of a stream, or a little more than `max_bytes` of it."""
    chunks, size = [], 0
    while size <= max_bytes and (chunk := stream.read(_CHUNK_BYTES)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
