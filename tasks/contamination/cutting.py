"""Cutting passages out of a text, with a margin on either side."""

from collections.abc import Iterable
from typing import NamedTuple

Span = tuple[int, int]


class Cut(NamedTuple):
    """A text without its matching passages; all its characters are in `pieces` or in `removed`."""

    pieces: list[str]
    removed: list[str]
    num_pieces: int
    """Before the short ones went."""

    @property
    def text(self) -> str:
        """What stays, as paragraphs."""
        return "\n\n".join(piece.strip() for piece in self.pieces)


def cut(text: str, spans: Iterable[Span], *, margin: int, min_piece: int) -> Cut:
    """Take out spans (in bytes of UTF-8) and `margin` characters around them; pieces under `min_piece` go too."""
    data = text.encode()
    inside = [(_back(data, start, margin), _forth(data, end, margin)) for start, end in spans]
    pieces, removed = list[str](), list[str]()
    num_pieces = begin = gap = 0
    for start, end in [*merge(inside), (len(data), len(data))]:
        piece = data[begin:start].decode()
        if piece.strip():
            num_pieces += 1
        if len(piece.strip()) >= min_piece:
            if gap < begin:
                removed.append(data[gap:begin].decode())
            pieces.append(piece)
            gap = start
        begin = end
    if gap < len(data):
        removed.append(data[gap:].decode())
    return Cut(pieces, removed, num_pieces)


def merge(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch as one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _back(data: bytes, at: int, characters: int) -> int:
    """So many characters before a place."""
    before = data[max(0, at - 4 * characters) : at].decode(errors="ignore")
    return at - len(before[max(0, len(before) - characters) :].encode())


def _forth(data: bytes, at: int, characters: int) -> int:
    """So many characters after a place."""
    return at + len(data[at : at + 4 * characters].decode(errors="ignore")[:characters].encode())
