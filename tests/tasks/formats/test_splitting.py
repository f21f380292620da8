"""Splitting: the pieces are the text, none is too large, and they end where something ends."""

import io
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.splitting import split_text


def pieces(text: str, max_bytes: int) -> list[str]:
    return [piece.decode() for piece in split_text(io.BytesIO(text.encode()), max_bytes)]


def test_a_piece_ends_with_a_paragraph_else_a_line_else_a_sentence_else_a_word():
    assert pieces("aaaa\n\nbb\ncccc", 8) == ["aaaa\n\n", "bb\ncccc"]
    assert pieces("aaaa bb\ncccc", 9) == ["aaaa bb\n", "cccc"]
    assert pieces("aaaa. bb cccc", 8) == ["aaaa. ", "bb cccc"]
    assert pieces("床前明月光。疑是", 20) == ["床前明月光。", "疑是"]
    assert pieces("aaaa bbbb", 7) == ["aaaa ", "bbbb"]


def test_a_word_that_is_too_long_is_cut_between_characters():
    assert pieces("月" * 5, 7) == ["月月", "月月", "月"]


@given(st.text("a。 \n月", max_size=60), st.integers(4, 20))
def test_the_pieces_joined_are_the_text_and_none_is_over_the_limit(text: str, max_bytes: int):
    found = pieces(text, max_bytes)
    assert "".join(found) == text
    assert all(0 < len(piece.encode()) <= max_bytes for piece in found)


def test_memory_holds_a_piece_and_not_the_text():
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in split_text(Endless(40_000_000), 1_000_000)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) == 40_000_000
    assert max(sizes) == 1_000_000
    assert peak < 8_000_000


class Endless:
    """A line of so many bytes."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes

    def read(self, size: int = -1, /) -> bytes:
        data = b"x" * min(1_000_000, self._left)
        self._left -= len(data)
        return data
