"""A stream of which the next bytes can be looked at before they are taken."""

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream


class Lookahead:
    """Bytes of a stream, exactly as many as are asked for unless it ends before."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._data = b""
        self._at = 0

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay."""
        self._fill(size)
        return self._data[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """The next bytes."""
        data = self.peek(size)
        self._at += len(data)
        return data

    def skip(self, size: int) -> int:
        """Leave out bytes, never more than a chunk of them in memory; how many there were."""
        left = size
        while left and (data := self.take(min(left, CHUNK_BYTES))):
            left -= len(data)
        return size - left

    def find(self, mark: bytes, limit: int) -> int:
        """How far ahead within `limit` bytes a mark is, or -1; reads no further than it must."""
        while True:
            found = self._data.find(mark, self._at, self._at + limit)
            held = len(self._data) - self._at
            if found >= 0:
                return found - self._at
            if held >= limit or len(self.peek(held + 1)) == held:
                return -1

    def drop(self) -> None:
        """Leave out what has been read ahead."""
        self._at = len(self._data)

    def _fill(self, size: int) -> None:
        missing = size - (len(self._data) - self._at)
        if missing <= 0:
            return
        parts = [self._data[self._at :]]
        try:
            while missing > 0 and (part := self._stream.read(CHUNK_BYTES)):
                parts.append(part)
                missing -= len(part)
        finally:  # also where the stream turns out to be damaged, what came before stays
            self._data, self._at = b"".join(parts), 0
