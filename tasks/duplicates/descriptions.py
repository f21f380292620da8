"""What each document is compared by, shard by shard, in scratch files: digest, sizes, signature and band keys."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from params.dedup import DedupParams
from tasks.documents.shards import read_batches
from tasks.duplicates.arrays import Array, joined, save_arrays, stored_arrays
from tasks.duplicates.signatures import Signatures, sign
from tasks.text.buffers import texts_of

Hashes = npt.NDArray[np.uint64]
Minima = npt.NDArray[np.uint32]
Sizes = npt.NDArray[np.int64]

_NAME = "descriptions"
_DIGESTS, _SIZES, _MINIMA, _BANDS = range(4)
"""Arrays of the file of a shard."""


class Descriptions:
    """The scratch files of all shards as if they were one; documents are numbered in shard order.

    Only what is asked for is in memory: 16 bytes a document for digests and for sizes, 8 for the keys of a band.
    """

    def __init__(self, folder: Path, shards: Sequence[Path]) -> None:
        self._arrays = [stored_arrays(folder / shard.stem / _NAME) for shard in shards]
        sizes = list(self._parts(_SIZES))
        self.sizes: Sizes = joined(sizes, np.zeros((0, 2), np.int64))
        """(documents, 2): bytes and shingles of each."""
        self.starts: Sizes = np.cumsum([0, *map(len, sizes)])
        """Number of each shard's first document; one more at the end."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def digests(self) -> Hashes:
        """(documents, 2): 128-bit hashes of the texts."""
        return joined(self._parts(_DIGESTS), np.zeros((0, 2), np.uint64))

    def band(self, index: int, documents: Sizes) -> Hashes:
        """Keys of one band for some documents, in their order; of the whole signature with index = number of bands."""
        rows = (arrays[_BANDS].read_row(index) for arrays in self._arrays)
        keys: Hashes = joined(rows, np.zeros(0, np.uint64))[documents]
        return keys

    def copy_minima(self, documents: Sizes, target: Minima) -> None:
        """Write the signatures of some documents, in their order, to the rows of `target`."""
        order = np.argsort(documents)
        bounds = np.searchsorted(documents[order], self.starts)
        for shard, (first, last) in enumerate(pairwise(bounds)):
            if first < last:
                wanted = order[first:last]
                minima = self._arrays[shard][_MINIMA].map()
                target[wanted] = minima[documents[wanted] - self.starts[shard]]

    def _parts(self, part: int) -> Iterable[Array]:
        return (arrays[part].read() for arrays in self._arrays)


def describe_shard(shard: Path, *, params: DedupParams, folder: Path) -> None:
    """Write the descriptions of a shard's documents under folder/, unless an earlier attempt did."""
    target = folder / shard.stem / _NAME
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    batches = [_describe(batch.column("text"), params) for batch in read_batches(shard, ("text",))]
    none = _describe(pa.array([], pa.large_string()), params)
    parts = enumerate(zip(none, *batches, strict=True))
    save_arrays(target, [np.concatenate(arrays, axis=1 if part == _BANDS else 0) for part, arrays in parts])


def _describe(column: pa.LargeStringArray, params: DedupParams) -> tuple[Hashes, Sizes, Minima, Hashes]:
    signatures = sign(column, params) if params.near else _unsigned(len(column))
    sizes = np.stack([texts_of(column).num_bytes, signatures.num_shingles], axis=1)
    return digests_of(column), sizes, signatures.minima, signatures.bands


def _unsigned(number: int) -> Signatures:
    return Signatures(np.zeros((number, 0), np.uint32), np.zeros((0, number), np.uint64), np.zeros(number, np.int64))


def digests_of(column: pa.LargeStringArray) -> Hashes:
    """XXH3-128 of every text, as (texts, 2) words, the high one first."""
    data, offsets = texts_of(column)
    view, ends = data.data, offsets.tolist()
    joined_digests = b"".join(xxhash.xxh3_128_digest(view[start:stop]) for start, stop in pairwise(ends))
    return np.frombuffer(joined_digests, ">u8").astype(np.uint64).reshape(-1, 2)
