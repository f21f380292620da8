"""Greedy packing: all documents one after the other in a stream, the stream cut into blocks.

The stream is begin d1 begin d2 … begin. Block k holds tokens k * context to k * context + context, so neighbours share
one token and every token of the stream but the first is a target exactly once. The last block is filled up with
padding. A stream without documents gives no block.
"""

from functools import cached_property

import numpy as np

from tasks.shards.packing import BlockFormat, Copies, Indices, PackingFigures, Pieces, Tokens, numbered, portions
from tasks.shards.stream import TokenStream


class Greedy:
    """The blocks of a stream of documents, in the order of the split or in one of its own."""

    def __init__(self, stream: TokenStream, copies: Copies, block_format: BlockFormat) -> None:
        self._stream = stream
        self._copies = copies
        self._format = block_format
        self._offsets = copies.starts if copies.order is None else _offsets(copies)

    @property
    def num_blocks(self) -> int:
        """Blocks of the split."""
        return -(-int(self._offsets[-1]) // self._format.context)

    @cached_property
    def figures(self) -> PackingFigures:
        """Padding and cropping."""
        num_cropped = num_pieces = 0
        for low, high in portions(len(self._copies)):
            begins, ends = self._offsets[low:high], self._offsets[low + 1 : high + 1]
            first = begins // self._format.context
            spans = np.maximum((ends - 2) // self._format.context - first, 0) + 1
            num_cropped += int(np.count_nonzero(spans > 1))
            num_pieces += int(spans.sum())
        num_padding = self.num_blocks * self._format.context - int(self._offsets[-1])
        return PackingFigures(len(self._copies), num_cropped, num_pieces, num_padding)

    def blocks(self, first: int, last: int) -> Tokens:
        """Blocks first to last - 1, shape (last - first, context + 1)."""
        begins, ends, total = first * self._format.context, last * self._format.context + 1, int(self._offsets[-1])
        flat = np.full(ends - begins, self._format.padding, self._stream.dtype)
        if self._copies.order is None:
            self._stream.read(begins, flat[: min(ends, total) - begins])
        else:
            self._gather(begins, min(ends, total), flat)
        if total < ends:
            flat[total - begins] = self._format.begin
        windows = np.lib.stride_tricks.sliding_window_view(flat, self._format.context + 1)
        return np.ascontiguousarray(windows[:: self._format.context])

    def pieces(self, first: int, last: int) -> Pieces | None:
        """Where documents lie in these blocks; None in the order of the split, where their offsets say it."""
        if self._copies.order is None:
            return None
        low, high = self._within(first * self._format.context, last * self._format.context + 1)
        pieces = cut_stream(self._offsets[low:high], self._copies.lengths(low, high), self._format.context)
        inside = (pieces.block >= first) & (pieces.block < last)
        return Pieces(
            block=pieces.block[inside] - first,
            document=self._copies.documents(low, high)[pieces.document[inside]],
            at=pieces.at[inside],
            start=pieces.start[inside],
            length=pieces.length[inside],
        )

    def _within(self, begins: int, ends: int) -> tuple[int, int]:
        """The copies that have a token in this range of the stream."""
        low = int(np.searchsorted(self._offsets, begins, side="right")) - 1
        return low, int(np.searchsorted(self._offsets[:-1], ends, side="left"))

    def _gather(self, begins: int, ends: int, flat: Tokens) -> None:
        low, high = self._within(begins, ends)
        offsets = self._offsets[low:high]
        froms = np.maximum(offsets, begins)
        lengths = np.minimum(self._offsets[low + 1 : high + 1], ends) - froms
        sources = self._copies.starts[self._copies.documents(low, high)] + froms - offsets
        self._stream.gather(sources, froms - begins, lengths, flat)


def _offsets(copies: Copies) -> Indices:
    """Position in the packed stream of each copy's begin token, and the end of the stream."""
    offsets = np.zeros(len(copies) + 1, np.int64)
    for low, high in portions(len(copies)):
        offsets[low + 1 : high + 1] = offsets[low] + np.cumsum(copies.lengths(low, high) + 1)
    return offsets


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
