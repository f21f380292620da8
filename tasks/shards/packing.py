"""What every packing has in common: the width of an id, what a layout can tell, where pieces of documents lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Tokens = npt.NDArray[np.unsignedinteger]
Indices = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]
"""Rows of documents where there may be very many."""

PIECE = pa.schema(
    [
        pa.field("block", pa.int64(), nullable=False),  # row in the shard of the same name
        pa.field("document", pa.int64(), nullable=False),  # row in the table of documents
        pa.field("at", pa.int64(), nullable=False),  # position in the block of the piece's first token
        pa.field("start", pa.int64(), nullable=False),  # place of that token in the document, begin token not counted
        pa.field("length", pa.int64(), nullable=False),  # tokens
    ]
)


@dataclass(frozen=True)
class BlockFormat:
    """What all blocks have in common."""

    context: int
    """Positions that have a target: a block holds one token more."""
    begin: int
    """Id of the token that leads every document and ends the one before."""
    padding: int
    """Id that fills a block; never a target."""


@dataclass(frozen=True)
class Copies:
    """The documents to pack, one after the other; given an order, some more than once and some not at all."""

    starts: Indices
    """Position in the encoded stream of each document's begin token, and the end of the stream."""
    order: Rows | None = None
    """Rows of documents; None for every document in its place."""

    def __len__(self) -> int:
        return len(self.starts) - 1 if self.order is None else len(self.order)

    def documents(self, first: int, last: int) -> Indices:
        """The rows of copies first to last - 1."""
        return np.arange(first, last) if self.order is None else self.order[first:last].astype(np.int64)

    def lengths(self, first: int, last: int) -> Indices:
        """Tokens of each of these copies, begin tokens not counted."""
        if self.order is None:
            return np.diff(self.starts[first : last + 1]) - 1
        rows = self.documents(first, last)
        return self.starts[rows + 1] - self.starts[rows] - 1


@dataclass(frozen=True)
class PackingFigures:
    """What a packing costs."""

    num_copies: int
    """Documents packed, each as often as it is used."""
    num_cropped: int
    """Copies whose tokens are targets in more than one block."""
    num_pieces: int
    """Blocks that a copy lies in, summed over copies."""
    num_padding: int
    """Positions of blocks that hold padding."""


@dataclass(frozen=True)
class Pieces:
    """Runs of a document's tokens within one block; columns as in PIECE."""

    block: Indices
    document: Indices
    at: Indices
    start: Indices
    length: Indices

    def table(self) -> pa.RecordBatch:
        """As a record batch of schema PIECE."""
        return pa.record_batch([self.block, self.document, self.at, self.start, self.length], schema=PIECE)


class Layout(Protocol):
    """Which tokens the blocks of a split hold."""

    @property
    def num_blocks(self) -> int:
        """Blocks of the split."""
        ...

    @property
    def figures(self) -> PackingFigures:
        """Padding and cropping of the whole split."""
        ...

    def blocks(self, first: int, last: int) -> Tokens:
        """Blocks first to last - 1, shape (last - first, context + 1)."""
        ...

    def pieces(self, first: int, last: int) -> Pieces | None:
        """Where documents lie in these blocks, numbered from 0; None where the documents' offsets say it."""
        ...


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest of uint16 and uint32 that holds every id."""
    return np.dtype(np.uint16) if vocab_size <= 1 << 16 else np.dtype(np.uint32)


def numbered(counts: Indices) -> tuple[Indices, Indices]:
    """For groups of so many members: each member's group and its number within the group, from 0."""
    groups = np.repeat(np.arange(len(counts)), counts)
    return groups, np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)


def portions(total: int, size: int = 1 << 20) -> Iterator[tuple[int, int]]:
    """Bounds of portions of so many items, for arrays that should not be worked on as a whole."""
    for first in range(0, total, size):
        yield first, min(first + size, total)
