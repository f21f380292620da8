"""Lines of a stream, in lists: memory is bounded by the longest line that is wanted."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tasks.formats.records import Unusable

_FEED = ord("\n")
_KEPT_OF_LONG = 1 << 16


class TooLong(NamedTuple):
    """A line or another piece of a stream that was too long to keep."""

    beginning: bytes
    size_bytes: int


class Pieces:
    """A line, or another piece, that comes in parts; of one over `max_bytes` only the beginning is kept."""

    def __init__(self, max_bytes: int) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        """Its next part."""
        was_long = self.size_bytes > self._max_bytes
        self.size_bytes += len(part)
        if was_long:
            return
        self._parts.append(part)
        if self.size_bytes > self._max_bytes:
            self._parts = [b"".join(self._parts)[:_KEPT_OF_LONG]]

    def end(self) -> bytes | TooLong:
        """The whole, and begin anew."""
        whole = _whole(b"".join(self._parts), self.size_bytes, self._max_bytes)
        self.size_bytes, self._parts = 0, []
        return whole


def line_batches(chunks: Iterable[bytes], max_bytes: int) -> Iterator[list[bytes | TooLong]]:
    """Lines without their line feeds; of one over `max_bytes` only the beginning.

    Unusable, where the chunks raise it, carries the bytes of the line that was cut.
    """
    for first, block in line_blocks(chunks, max_bytes):
        yield [first, *lines_of(block, max_bytes)]


def lines_of(block: bytes, max_bytes: int) -> Sequence[bytes | TooLong]:
    """The lines of a block."""
    lines = block.split(b"\n")[:-1]
    return lines if len(block) <= max_bytes else [_whole(line, len(line), max_bytes) for line in lines]


def count_lines(block: bytes) -> int:
    """How many lines end in a block. `bytes.count` takes several times as long, and other threads wait for it."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _FEED))


def line_blocks(chunks: Iterable[bytes], max_bytes: int) -> Iterator[tuple[bytes | TooLong, bytes]]:
    """For each chunk in which a line ends: the first that does, as `line_batches` gives it, and those after it as they
    stand, each with its line feed."""
    line = Pieces(max_bytes)
    try:
        for chunk in chunks:
            first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
            if first < 0:
                line.add(chunk)
            else:
                line.add(chunk[:first])
                yield line.end(), chunk[first + 1 : last + 1]
                line.add(chunk[last + 1 :])
    except Unusable as problem:
        cut = line.end()
        raise Unusable(problem.rule, problem.detail, cut if isinstance(cut, bytes) else cut.beginning) from None
    if line.size_bytes:
        yield line.end(), b""


def _whole(data: bytes, size_bytes: int, max_bytes: int) -> bytes | TooLong:
    return data if size_bytes <= max_bytes else TooLong(data[:_KEPT_OF_LONG], size_bytes)
