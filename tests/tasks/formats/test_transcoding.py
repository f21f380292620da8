"""Transcoding: the same text in UTF-8, and one bad line costs only itself."""

import io

import pytest

from tasks.formats.records import Unusable
from tasks.formats.transcoding import Transcoded, to_utf8

TEXT = "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。\n" * 100_000


class Trickle:
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(self._step)


def read(stream: Transcoded) -> bytes:
    pieces = []
    while piece := stream.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "utf-16", "utf-16-le", "utf-32", "cp950"])
def test_text_comes_out_as_utf8(encoding: str):
    assert read(Transcoded(io.BytesIO(TEXT.encode(encoding)), encoding)).decode() == TEXT
    assert to_utf8(TEXT.encode(encoding), encoding).decode() == TEXT


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16"])
def test_a_character_may_come_in_two_pieces(encoding: str):
    text = TEXT[:60]
    assert read(Transcoded(Trickle(text.encode(encoding), 3), encoding)).decode() == text


def test_a_line_that_is_not_in_the_encoding_passes_as_it_is():
    good, bad = "床前明月光\n".encode("big5"), b"\xff\xff\n"
    assert (
        read(Transcoded(io.BytesIO(good + bad + good), "big5"))
        == "床前明月光\n".encode() + bad + "床前明月光\n".encode()
    )


def test_a_line_of_any_length_is_read_in_bounded_pieces():
    text = "月" * 6_000_000
    stream = Transcoded(io.BytesIO(text.encode("gbk")), "gbk")
    assert len(stream.read(1 << 30)) < 9_000_000 * 3
    rest = read(stream)
    assert set(rest.decode()) == {"月"}


def test_utf16_that_is_cut_within_a_character_is_told():
    with pytest.raises(Unusable, match="not utf-16"):
        read(Transcoded(io.BytesIO("月光".encode("utf-16")[:-1]), "utf-16"))
    with pytest.raises(Unusable, match="not big5 all through"):
        to_utf8(b"\xff", "big5")
