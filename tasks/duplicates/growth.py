"""The new segment of an index: what a run saw first, merged with older segments that are not twice as large."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from params.dedup import DedupParams
from tasks.duplicates.arrays import create_array, save_array
from tasks.duplicates.clusters import Indices
from tasks.duplicates.descriptions import Descriptions
from tasks.duplicates.index import Index, Segment
from tasks.duplicates.names import write_names
from tasks.duplicates.segment_files import DIGEST_NUMBERS, DIGESTS, KEYS, MEMBERS, MINIMA, OWNERS, SURVIVORS
from tasks.duplicates.verdicts import Verdicts


@dataclass(frozen=True)
class Addition:
    """What a run adds to an index."""

    descriptions: Descriptions
    verdicts: Verdicts
    index: Index

    @property
    def numbers(self) -> Indices:
        """The index's number of each document; -1 where it has none."""
        numbers = np.full(len(self.descriptions), -1, np.int64)
        new = self.verdicts.new_texts
        numbers[new] = self.index.num_documents + np.arange(len(new))
        return numbers

    @property
    def survivors(self) -> Indices:
        """The index's number of the survivor in whose cluster each new text is."""
        survivors = self.verdicts.survivors[self.verdicts.new_texts]
        total = len(self.descriptions)
        numbers: Indices = np.where(survivors >= total, survivors - total, self.numbers[survivors % total])
        return numbers

    def merged(self) -> list[Segment]:
        """The segments that the new one takes up: the last ones, until one is at least twice what follows it."""
        size, taken = len(self.verdicts.new_texts), list[Segment]()
        for segment in reversed(self.index.segments):
            if len(segment.survivors) >= 2 * size:
                break
            taken.insert(0, segment)
            size += len(segment.survivors)
        return taken


def write_segment(
    addition: Addition, names: Iterable[tuple[int, str]], params: DedupParams, folder: Path
) -> list[Segment]:
    """Write the new segment; the segments of the index that stay beside it.

    `names` are those of surviving documents, by the index's number. Memory: some 80 bytes a document of the segment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merged = addition.merged()
    _write_texts(addition, merged, folder)
    _write_signatures(addition, merged, params, folder)
    write_names(folder, chain(*(segment.names for segment in merged), names))
    return addition.index.segments[: len(addition.index.segments) - len(merged)]


def _write_texts(addition: Addition, merged: list[Segment], folder: Path) -> None:
    new = addition.verdicts.new_texts
    digests = np.concatenate([*(segment.digests for segment in merged), addition.descriptions.digests[new].T], axis=1)
    numbers = np.concatenate([*(segment.digest_numbers for segment in merged), addition.numbers[new]])
    order = np.lexsort((digests[1], digests[0]))
    save_array(folder / DIGESTS, digests[:, order])
    save_array(folder / DIGEST_NUMBERS, numbers[order])
    save_array(folder / SURVIVORS, np.concatenate([*(s.survivors for s in merged), addition.survivors]))


def _write_signatures(addition: Addition, merged: list[Segment], params: DedupParams, folder: Path) -> None:
    new = addition.verdicts.new_signatures
    save_array(folder / OWNERS, np.concatenate([*(s.owners for s in merged), addition.numbers[new]]))
    num_old = sum(len(segment.owners) for segment in merged)
    minima = create_array(folder / MINIMA, (num_old + len(new), addition.index.signature_size), np.uint32)
    start = 0
    for segment in merged:
        minima[start : start + len(segment.owners)] = segment.minima
        start += len(segment.owners)
    addition.descriptions.copy_minima(new, minima[start:])
    shape = (params.bands + 1, num_old + len(new))
    keys, members = (create_array(folder / n, shape, t) for n, t in ((KEYS, np.uint64), (MEMBERS, np.uint32)))
    for band in range(shape[0] if shape[1] else 0):
        all_keys = [*(s.keys[band] for s in merged), addition.descriptions.band(band, new)]
        all_members = np.concatenate([*_members(merged, band), num_old + np.arange(len(new), dtype=np.int64)])
        joined_keys = np.concatenate(all_keys)
        order = np.lexsort((all_members, joined_keys))
        keys[band], members[band] = joined_keys[order], all_members[order]
    for array in (minima, keys, members):
        if isinstance(array, np.memmap):
            array.flush()


def _members(merged: list[Segment], band: int) -> Iterator[Indices]:
    """Members of a band's buckets, numbered through the merged segments."""
    start = 0
    for segment in merged:
        yield segment.members[band].astype(np.int64) + start
        start += len(segment.owners)
