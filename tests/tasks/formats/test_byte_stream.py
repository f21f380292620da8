"""Streams of bytes: digested, looked at, and read whole."""

import hashlib
import io
import random

import pytest

from tasks.formats.byte_stream import HashedStream, Peeked, read_whole
from tasks.formats.records import Unusable

NOISE = random.Random(1).randbytes(3_000_000)


class Broken:
    """A stream that breaks after its content."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        if data := self._content.read(size):
            return data
        raise Unusable("damaged", "broken")


def test_the_digest_covers_the_whole_file_however_little_was_read():
    file = HashedStream(io.BytesIO(NOISE))
    assert file.read(10) == NOISE[:10]
    assert file.digest() == hashlib.sha256(NOISE).hexdigest()


def test_what_was_looked_at_is_not_lost():
    stream = Peeked(io.BytesIO(NOISE))
    assert stream.first == NOISE[: 1 << 20]
    pieces = [stream.read(10), stream.read(1 << 20)]
    while piece := stream.read():
        pieces.append(piece)
    assert b"".join(pieces) == NOISE


def test_what_stands_before_a_break_is_delivered_before_it_is_told():
    stream = Peeked(Broken(b"content"))
    assert stream.first == stream.read() == b"content"
    with pytest.raises(Unusable, match="broken"):
        stream.read()


def test_reading_whole_stops_soon_after_the_limit():
    assert read_whole(io.BytesIO(NOISE), 5_000_000) == NOISE
    assert 100 < len(read_whole(io.BytesIO(NOISE), 100)) <= 100 + (1 << 20)
