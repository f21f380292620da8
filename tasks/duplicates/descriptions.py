"""What each document is compared by, shard by shard, in scratch files: digest, sizes, signature and band keys."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from params.dedup import DedupParams
from tasks.artifacts.digest import commit
from tasks.documents.shards import read_batches
from tasks.duplicates.signatures import Signatures, sign
from tasks.text.buffers import texts_of

Hashes = npt.NDArray[np.uint64]
Minima = npt.NDArray[np.uint32]
Sizes = npt.NDArray[np.int64]

_PARTS = ("digests", "sizes", "minima", "bands")


class Descriptions:
    """The scratch files of all shards as if they were one; documents are numbered in source order.

    Only what is asked for is in memory: 16 bytes a document for digests and for sizes, 8 for the keys of a band.
    """

    def __init__(self, folder: Path, shards: Sequence[Path]) -> None:
        self._folders = [folder / shard.stem for shard in shards]
        self.sizes: Sizes = np.concatenate([np.zeros((0, 2), np.int64), *self._parts("sizes")])
        """(documents, 2): bytes and shingles of each."""
        self.starts = np.cumsum([0, *(len(part) for part in self._parts("sizes"))])
        """Number of each shard's first document; one more at the end."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def digests(self) -> Hashes:
        """(documents, 2): 128-bit hashes of the texts."""
        return np.concatenate([np.zeros((0, 2), np.uint64), *self._parts("digests")])

    def band(self, index: int, documents: Sizes) -> Hashes:
        """Keys of one band for some documents."""
        keys: Hashes = np.concatenate([part[index] for part in self._parts("bands")])[documents]
        return keys

    def minima(self, documents: Sizes, path: Path) -> Minima:
        """Signatures of some documents (in source order), gathered in a file and read through a memory map."""
        shape = (len(documents), self._load(0, "minima").shape[1])
        gathered = np.lib.format.open_memmap(path, "w+", np.uint32, shape)
        bounds = np.searchsorted(documents, self.starts)
        for shard, (first, last) in enumerate(pairwise(bounds)):
            if first < last:
                gathered[first:last] = self._load(shard, "minima")[documents[first:last] - self.starts[shard]]
        return np.asarray(gathered)

    def _parts(self, name: str) -> Iterable[npt.NDArray[Any]]:
        return (self._load(shard, name) for shard in range(len(self._folders)))

    def _load(self, shard: int, name: str) -> npt.NDArray[Any]:
        path = self._folders[shard] / f"{name}.npy"
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r") if path.stat().st_size > _EMPTY_BYTES else np.load(path)
        return array


_EMPTY_BYTES = 128
"""An .npy file of this size has a header and no data, which cannot be mapped."""


def describe_shard(shard: Path, *, params: DedupParams, folder: Path) -> None:
    """Write the descriptions of a shard's documents under folder/, unless an earlier attempt did."""
    target = folder / shard.stem
    if all((target / f"{name}.npy").exists() for name in _PARTS):
        return
    target.mkdir(parents=True, exist_ok=True)
    parts = [_describe(batch.column("text"), params) for batch in read_batches(shard)]
    whole = [
        np.concatenate(arrays, axis=1 if name == "bands" else 0)
        for name, arrays in zip(
            _PARTS, zip(_describe(pa.array([], pa.large_string()), params), *parts, strict=True), strict=True
        )
    ]
    for name, array in zip(_PARTS, whole, strict=True):
        _save(target / f"{name}.npy", array)


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
    joined = b"".join(xxhash.xxh3_128_digest(view[start:stop]) for start, stop in pairwise(ends))
    return np.frombuffer(joined, ">u8").astype(np.uint64).reshape(-1, 2)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
    commit(temporary, path)
