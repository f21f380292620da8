"""Best-fit packing: a document is cut only where it is longer than a block.

After "Fewer Truncations Improve Language Modeling" (Ding et al., 2024): documents are cut into chunks of at most a
block, and the chunks are packed by best-fit decreasing: from the longest to the shortest, each goes into the block that
it leaves least room in. A block is begin chunk begin chunk … begin, then padding. A chunk that fills a block has no
begin token after it, since its document goes on elsewhere; every other chunk ends its document, and the begin token
behind it is the target that says so.

Memory is bounded by windows of about 262,144 chunks, packed one by one; a window ends in full blocks, so the padding
that windows add is some blocks of each.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.artifacts.digest import commit
from tasks.shards.packing import BlockFormat, Copies, Indices, PackingFigures, Pieces, Tokens, numbered, portions
from tasks.shards.stream import TokenStream
from tasks.text.kernels import OFFSETS, kernel, subroutine

Flags = npt.NDArray[np.bool_]

_WINDOW_CHUNKS = 1 << 18


def cut_windows(copies: Copies, context: int, *, breaks: Sequence[int] = (), chunks: int = _WINDOW_CHUNKS) -> list[int]:
    """Bounds of the windows: one ends after so many chunks, and at every one of the `breaks`."""
    bounds = {0, len(copies), *breaks}
    before = 0  # chunks of all copies up to here
    for low, high in portions(len(copies)):
        ends = before + np.cumsum(_num_chunks(copies.lengths(low, high), context))
        bounds.update((np.flatnonzero(np.diff(ends // chunks, prepend=before // chunks)) + low).tolist())
        before = int(ends[-1])
    return sorted(bounds)


def pack_window(lengths: Indices, context: int) -> Pieces:
    """Documents of these lengths to blocks, numbered by the first document in them; pieces ordered by block."""
    documents, within = numbered(_num_chunks(lengths, context))
    starts = within * context
    sizes = np.minimum(lengths[documents] - starts, context)
    bins = best_fit(np.minimum(sizes + 1, context), context)
    order = np.argsort(bins, kind="stable")
    block = bins[order]
    taken = np.cumsum(sizes[order] + 1) - sizes[order]  # position behind the begin token, over all blocks
    opening = np.flatnonzero(np.diff(block, prepend=-1))
    at = taken - np.repeat(taken[opening] - 1, np.diff(opening, append=len(block)))
    return Pieces(block=block, document=documents[order], at=at, start=starts[order], length=sizes[order])


def save_window(path: Path, pieces: Pieces) -> None:
    """Keep a window on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    columns = (pieces.block, pieces.document, pieces.at, pieces.start, pieces.length)
    with temporary.open("wb") as file:
        np.save(file, np.stack(columns))
    commit(temporary, path)


class BestFit:
    """The blocks of packed windows, whose pieces name documents by their rows in the split."""

    def __init__(
        self, stream: TokenStream, starts: Indices, windows: Sequence[Path], block_format: BlockFormat
    ) -> None:
        """`starts`: position in the encoded stream of each document's begin token."""
        self._stream = stream
        self._starts = starts
        self._windows = windows
        self._format = block_format
        self._ends = np.cumsum([_num_blocks(_load(path)) for path in windows], dtype=np.int64)

    @property
    def num_blocks(self) -> int:
        """Blocks of the split."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def figures(self) -> PackingFigures:
        """Padding and cropping."""
        num_copies = num_cropped = num_pieces = used = num_full = 0
        for path in self._windows:
            pieces = _load(path)
            is_first, is_full = pieces.start == 0, pieces.length == self._format.context
            num_copies += int(np.count_nonzero(is_first))
            num_cropped += int(np.count_nonzero(pieces.start == self._format.context))
            num_pieces += len(pieces.start)
            used += int(pieces.length.sum()) + len(pieces.start)
            num_full += int(np.count_nonzero(is_full))
        closing = self.num_blocks - num_full
        num_padding = self.num_blocks * (self._format.context + 1) - used - closing
        return PackingFigures(num_copies, num_cropped, num_pieces, num_padding)

    def blocks(self, first: int, last: int) -> Tokens:
        """Blocks first to last - 1, shape (last - first, context + 1)."""
        pieces, width = self.pieces(first, last), self._format.context + 1
        flat = np.full((last - first) * width, self._format.padding, self._stream.dtype)
        targets = pieces.block * width + pieces.at
        flat[targets - 1] = self._format.begin
        ends = pieces.at + pieces.length
        closes = ends < width  # the end of a document: a begin token follows, also behind the last of a block
        flat[(pieces.block * width + ends)[closes]] = self._format.begin
        sources = self._starts[pieces.document] + 1 + pieces.start
        self._stream.gather(sources, targets, pieces.length, flat)
        return flat.reshape(-1, width)

    def pieces(self, first: int, last: int) -> Pieces:
        """Where documents lie in these blocks."""
        parts = []
        for window in range(int(np.searchsorted(self._ends, first, side="right")), len(self._windows)):
            base = int(self._ends[window - 1]) if window else 0
            if base >= last:
                break
            pieces = _load(self._windows[window])
            low, high = np.searchsorted(pieces.block, [first - base, last - base])
            columns = (pieces.block, pieces.document, pieces.at, pieces.start, pieces.length)
            part = np.stack([column[low:high] for column in columns])
            part[0] += base - first
            parts.append(part)
        return Pieces(*np.concatenate(parts, axis=1))


def _num_chunks(lengths: Indices, context: int) -> Indices:
    return np.maximum(-(-lengths // context), 1)


def _num_blocks(pieces: Pieces) -> int:
    return int(pieces.block[-1]) + 1


def _load(path: Path) -> Pieces:
    return Pieces(*np.load(path, mmap_mode="r"))


@subroutine
def _at_least(tree: Flags, room: int, leaves: int) -> int:
    """The least room of at least this much that some bin has, or -1."""
    node = leaves + room
    if tree[node]:
        return room
    while node > 1 and (node % 2 == 1 or not tree[node + 1]):
        node //= 2
    if node <= 1:
        return -1
    node += 1
    while node < leaves:
        node *= 2
        if not tree[node]:
            node += 1
    return node - leaves


@subroutine
def _mark(tree: Flags, room: int, leaves: int, is_there: bool) -> None:
    """Note in the tree whether some bin has this room."""
    node = leaves + room
    tree[node] = is_there
    node //= 2
    while node >= 1:
        either = tree[2 * node] or tree[2 * node + 1]
        if tree[node] == either:
            return
        tree[node] = either
        node //= 2


@subroutine
def _renumbered(bins: Indices, num_bins: int) -> Indices:
    """Bins numbered in the order in which the items name them."""
    number = np.full(num_bins, -1, np.int64)
    known = 0
    for item in range(bins.size):
        if number[bins[item]] < 0:
            number[bins[item]] = known
            known += 1
        bins[item] = number[bins[item]]
    return bins


@subroutine
def _from_the_longest(sizes: Indices, capacity: int) -> Indices:
    """Items by decreasing size, equal ones in their order (counting sort)."""
    begins = np.zeros(capacity + 2, np.int64)
    for item in range(sizes.size):
        begins[capacity - sizes[item] + 1] += 1
    begins = np.cumsum(begins)
    order = np.empty(sizes.size, np.int64)
    for item in range(sizes.size):
        rank = capacity - sizes[item]
        order[begins[rank]] = item
        begins[rank] += 1
    return order


@kernel(types.int64[::1](OFFSETS, types.int64))
def best_fit(sizes: Indices, capacity: int) -> Indices:
    """Best-fit decreasing for sizes of 1 to capacity; the bin of each, bins numbered by their first item.

    A tree over rooms 0 to capacity finds the fullest bin that still takes an item in O(log capacity); bins of the same
    room form a list, of which the latest is taken.
    """
    leaves = 1
    while leaves <= capacity:
        leaves *= 2
    tree = np.zeros(2 * leaves, np.bool_)
    newest = np.full(capacity + 1, -1, np.int64)  # bin by room
    before = np.empty(sizes.size, np.int64)  # the next bin of the same room
    bins = np.empty(sizes.size, np.int64)
    num_bins = 0
    for item in _from_the_longest(sizes, capacity):
        size = sizes[item]
        room = _at_least(tree, size, leaves)
        if room < 0:
            found, room = num_bins, capacity
            num_bins += 1
        else:
            found = int(newest[room])
            newest[room] = before[found]
            if newest[room] < 0:
                _mark(tree, room, leaves, False)
        bins[item] = found
        room -= size
        if room > 0:
            before[found] = newest[room]
            if newest[room] < 0:
                _mark(tree, room, leaves, True)
            newest[room] = found
    return _renumbered(bins, num_bins)
