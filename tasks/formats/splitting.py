"""A text that is too large, cut into pieces where a paragraph, a line, a sentence or at least a word ends."""

from collections.abc import Iterator

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream

_ENDS = (b"\n\n", b"\n", "。".encode(), b". ", b" ")
_MIN_SHARE = 0.5


def split_text(stream: ByteStream, max_bytes: int) -> Iterator[bytes]:
    """Pieces of UTF-8 text of at most `max_bytes`, which joined together are the text.

    A piece ends with the last paragraph that leaves it at least half full, else the last line, and so on; a word that
    is longer is cut between two characters.
    """
    rest = bytearray()
    while chunk := stream.read(CHUNK_BYTES):
        rest += chunk
        while len(rest) > max_bytes:
            end = _cut(rest, max_bytes)
            piece = bytes(memoryview(rest)[:end])
            del rest[:end]
            yield piece
    if rest:
        yield bytes(rest)


def _cut(data: bytearray, max_bytes: int) -> int:
    """Where the first piece ends."""
    for mark in _ENDS:
        found = data.rfind(mark, int(max_bytes * _MIN_SHARE), max_bytes)
        if found >= 0:
            return found + len(mark)
    end = max_bytes
    while end > 1 and data[end] & 0xC0 == 0x80:  # within a character
        end -= 1
    return end
