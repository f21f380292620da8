"""Text in any encoding as a stream of UTF-8, piece by piece; a line that is not in the encoding passes as it is."""

import codecs

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.records import Unusable

_LONG_LINE_BYTES = 4 << 20


class Transcoded:
    """A stream of text as UTF-8 without a byte order mark."""

    def __init__(self, stream: ByteStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._has_plain_lines = "\n".encode(encoding) == b"\n"
        self._rest = b""
        self._ready = b""
        self._at_end = False

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """The next bytes; Unusable (`wrong_encoding`) where text whose lines cannot be told apart cannot be decoded."""
        while not self._ready and not self._at_end:
            self._ready = self._next()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _next(self) -> bytes:
        data = self._stream.read(CHUNK_BYTES)
        self._at_end = not data
        if not self._has_plain_lines:
            return self._decoded(data)
        block = self._rest + data
        end = len(block) if self._at_end else block.rfind(b"\n") + 1
        if not end and len(block) > _LONG_LINE_BYTES:
            end = len(block) - self._num_unfinished(block)
        self._rest = block[end:]
        return _lines_to_utf8(block[:end], self._encoding)

    def _num_unfinished(self, block: bytes) -> int:
        """Bytes at the end of a block that are only a part of a character."""
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        decoder.decode(block)
        return len(decoder.getstate()[0])

    def _decoded(self, data: bytes) -> bytes:
        try:
            return self._decoder.decode(data, final=not data).encode()
        except UnicodeError as error:
            raise Unusable("wrong_encoding", f"not {self._encoding} all through: {error}", data) from None


def to_utf8(data: bytes, encoding: str) -> bytes:
    """A whole text as UTF-8; Unusable (`wrong_encoding`) names the offset of what is not in the encoding."""
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        raise Unusable("wrong_encoding", f"not {encoding} all through: {error}", data) from None


def _lines_to_utf8(block: bytes, encoding: str) -> bytes:
    try:
        return block.decode(encoding).encode()
    except UnicodeError:
        return b"".join(_line_to_utf8(line, encoding) for line in block.splitlines(keepends=True))


def _line_to_utf8(line: bytes, encoding: str) -> bytes:
    try:
        return line.decode(encoding).encode()
    except UnicodeError:
        return line
