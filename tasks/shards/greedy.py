"""Greedy packing: all documents one after the other in a stream, the stream cut into blocks.

The stream is begin d1 begin d2 … begin. Block k holds tokens k * context to k * context + context, so neighbours share
one token and every token of the stream but the first is a target exactly once. The last block is filled up with
padding. A stream without documents gives no block.
"""

from functools import cached_property

import numpy as np

from tasks.shards.packing import Indices, PackingFigures, Pieces, Tokens, numbered
from tasks.shards.stream import TokenStream


class Greedy:
    """The blocks of a stream of documents, in the order of the split or in one of its own."""

    def __init__(
        self,
        stream: TokenStream,
        starts: Indices,
        *,
        context: int,
        begin: int,
        padding: int,
        order: Indices | None = None,
    ) -> None:
        """`starts`: position in the encoded stream of each document's begin token, and its end; `order`: documents."""
        self._stream = stream
        self._starts = starts
        self._context = context
        self._begin = begin
        self._padding = padding
        self._order = order
        sizes = np.diff(starts) if order is None else starts[order + 1] - starts[order]
        self._offsets = starts if order is None else np.concatenate([[0], np.cumsum(sizes)])

    @property
    def num_blocks(self) -> int:
        """Blocks of the split."""
        return -(-int(self._offsets[-1]) // self._context)

    @cached_property
    def figures(self) -> PackingFigures:
        """Padding and cropping."""
        first = self._offsets[:-1] // self._context
        last = np.maximum((self._offsets[1:] - 2) // self._context, first)
        spans = last - first + 1
        return PackingFigures(
            num_copies=len(spans),
            num_cropped=int(np.count_nonzero(spans > 1)),
            num_pieces=int(spans.sum()),
            num_padding=self.num_blocks * self._context - int(self._offsets[-1]),
        )

    def blocks(self, first: int, last: int) -> Tokens:
        """Blocks first to last - 1, shape (last - first, context + 1)."""
        begins, ends, total = first * self._context, last * self._context + 1, int(self._offsets[-1])
        flat = np.full(ends - begins, self._padding, self._stream.dtype)
        if self._order is None:
            held = self._stream.read(begins, min(ends, total))
            flat[: len(held)] = held
        else:
            self._gather(begins, min(ends, total), flat)
        if total < ends:
            flat[total - begins] = self._begin
        windows = np.lib.stride_tricks.sliding_window_view(flat, self._context + 1)
        return np.ascontiguousarray(windows[:: self._context])

    def pieces(self, first: int, last: int) -> Pieces | None:
        """Where documents lie in these blocks; None in the order of the split, where their offsets say it."""
        if self._order is None:
            return None
        low, high = self._copies(first * self._context, last * self._context + 1)
        copies = np.arange(low, high)
        offsets = self._offsets[low:high]
        pieces = cut_stream(offsets, self._offsets[low + 1 : high + 1] - offsets - 1, self._context)
        inside = (pieces.block >= first) & (pieces.block < last)
        return Pieces(
            block=pieces.block[inside] - first,
            document=self._order[copies[pieces.document[inside]]],
            at=pieces.at[inside],
            start=pieces.start[inside],
            length=pieces.length[inside],
        )

    def _copies(self, begins: int, ends: int) -> tuple[int, int]:
        """The copies that have a token in this range of the stream."""
        low = int(np.searchsorted(self._offsets, begins, side="right")) - 1
        return low, int(np.searchsorted(self._offsets[:-1], ends, side="left"))

    def _gather(self, begins: int, ends: int, flat: Tokens) -> None:
        assert self._order is not None, "read in one go otherwise"
        low, high = self._copies(begins, ends)
        offsets = self._offsets[low:high]
        froms = np.maximum(offsets, begins)
        lengths = np.minimum(self._offsets[low + 1 : high + 1], ends) - froms
        self._stream.gather(self._starts[self._order[low:high]] + froms - offsets, froms - begins, lengths, flat)


def cut_stream(offsets: Indices, lengths: Indices, context: int) -> Pieces:
    """Where documents lie whose begin tokens have these offsets in the stream, ordered by block.

    The token that two blocks share is named in both. A document without tokens lies nowhere.
    """
    firsts, ends = offsets + 1, offsets + lengths
    first_block = (firsts - 1) // context
    documents, within = numbered(np.where(lengths > 0, ends // context - first_block + 1, 0))
    block = first_block[documents] + within
    low = np.maximum(firsts[documents], block * context)
    high = np.minimum(ends[documents], block * context + context)
    order = np.argsort(block, kind="stable")
    return Pieces(
        block=block[order],
        document=documents[order],
        at=(low - block * context)[order],
        start=(low - firsts[documents])[order],
        length=(high - low + 1)[order],
    )
