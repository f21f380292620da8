"""The bytes of a raw file as a stream, hashed as they are read."""

import hashlib
from typing import Protocol

from tasks.formats.records import Unusable

CHUNK_BYTES = 1 << 20


class ByteStream(Protocol):
    """What readers read from."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class OpenFile(ByteStream, Protocol):
    """A file that was opened for reading."""

    def close(self) -> None:
        """Close the file."""
        ...


class HashedStream:
    """A file that digests what is read from it."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
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


class Peeked:
    """A stream whose first bytes can be looked at without being lost; what breaks it is raised in its turn."""

    def __init__(self, stream: ByteStream, first: bytes | None = None) -> None:
        self._stream = stream
        self._problem: Unusable | None = None
        self.first = self._peek() if first is None else first
        """What was looked at; let go of once it has been read."""
        self._at = 0

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """The next bytes, those looked at included."""
        if self._at < len(self.first):
            data = self.first[self._at : self._at + size]
            self._at += size
            return data
        self.first, self._at = b"", 0
        if self._problem is not None:
            raise self._problem
        return self._stream.read(size)

    def _peek(self) -> bytes:
        chunks, got = [], 0
        try:
            while got < CHUNK_BYTES and (chunk := self._stream.read(CHUNK_BYTES)):
                chunks.append(chunk)
                got += len(chunk)
        except Unusable as problem:
            self._problem = problem
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def read_whole(stream: ByteStream, max_bytes: int) -> bytes:
    """All of a stream, or a little more than `max_bytes` of it."""
    chunks, size = [], 0
    while size <= max_bytes and (chunk := stream.read(CHUNK_BYTES)):
        chunks.append(chunk)
        size += len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
