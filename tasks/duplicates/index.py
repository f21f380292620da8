"""The index of everything seen before: what new documents are compared with, at a cost that grows with their number.

An index is a list of segments, each written by one run beside its kept documents and never changed. It remembers every
text that differed from all before it, dropped ones too (what resembles one is dropped as well), under a number that
grows with the order of arrival: its digest, and the number of the survivor of its cluster; the name, if it survived
itself; its signature, if that was new. Digests and band keys are sorted, so looking up n of them takes n log N steps
through memory maps. A run merges its own segment with those before it that are not twice as large: an index of N texts
has at most log2(N) segments, and each text is written log2(N) times. About 750 bytes a text with 20x5 signatures.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.duplicates.arrays import Array, load_array
from tasks.duplicates.clusters import MAX_COMPARED, Flags, Indices
from tasks.duplicates.names import Names
from tasks.duplicates.segment_files import DIGEST_NUMBERS, DIGESTS, KEYS, MEMBERS, MINIMA, OWNERS, SURVIVORS
from tasks.text.kernels import Codes, Hashes


class Segment:
    """A part of an index: documents from `first_document` on, signatures from `first_signature` on."""

    def __init__(self, folder: Path, first_document: int, first_signature: int) -> None:
        self.folder = folder
        self.first_document = first_document
        self.first_signature = first_signature
        self.digests: Hashes = load_array(folder / DIGESTS)
        """(2, documents): high and low words, sorted."""
        self.digest_numbers: Indices = load_array(folder / DIGEST_NUMBERS)
        """(documents,): whose digest each is."""
        self.survivors: Indices = load_array(folder / SURVIVORS)
        """(documents,): by number."""
        self.minima: Codes = load_array(folder / MINIMA)
        """(signatures, values), by rank of their owners."""
        self.owners: Indices = load_array(folder / OWNERS)
        """(signatures,): number of the first document with each."""
        self.keys: Hashes = load_array(folder / KEYS)
        """(bands + 1, signatures): sorted keys of each band, and of the whole signatures."""
        self.members: Array = load_array(folder / MEMBERS)
        """(bands + 1, signatures): whose key each is; members of one bucket by rank."""
        self.names = Names(folder)

    def find_texts(self, digests: Hashes) -> Indices:
        """Number of the document with each of (texts, 2) digests, or -1."""
        found = np.full(len(digests), -1, np.int64)
        left, right = (np.searchsorted(self.digests[0], digests[:, 0], side) for side in ("left", "right"))
        for offset in range(int((right - left).max(initial=0))):  # more than once only where high words collide
            within = np.flatnonzero(left + offset < right)
            at = left[within] + offset
            equal = self.digests[1][at] == digests[within, 1]
            found[within[equal]] = self.digest_numbers[at[equal]]
        return found


class Index:
    """Segments as if they were one."""

    def __init__(self, folders: Sequence[Path], signature_size: int) -> None:
        self.segments: list[Segment] = []
        self.signature_size = signature_size
        self.num_documents = self.num_signatures = 0
        for folder in folders:
            segment = Segment(folder, self.num_documents, self.num_signatures)
            self.segments.append(segment)
            self.num_documents += len(segment.survivors)
            self.num_signatures += len(segment.owners)

    def find_texts(self, digests: Hashes) -> Indices:
        """Number of the document with each of (texts, 2) digests, or -1."""
        found = np.full(len(digests), -1, np.int64)
        for segment in self.segments:
            found = np.maximum(found, segment.find_texts(digests))
        return found

    def find_signatures(self, keys: Hashes) -> Indices:
        """Number of the first document with each whole signature, or -1."""
        found = np.full(len(keys), -1, np.int64)
        for segment in self.segments:
            sorted_keys = segment.keys[-1]
            at = np.searchsorted(sorted_keys, keys)
            hit = np.flatnonzero(at < len(sorted_keys))
            hit = hit[sorted_keys[at[hit]] == keys[hit]]
            found[hit] = segment.owners[segment.members[-1][at[hit]]]
        return found

    def bucket_members(self, band: int, keys: Hashes) -> tuple[Indices, Flags]:
        """The first MAX_COMPARED signatures of every bucket that a key of a band names; which keys name any."""
        if not self.segments:
            return np.zeros(0, np.int64), np.zeros(len(keys), np.bool_)
        wanted, inverse = np.unique(keys, return_inverse=True)
        room = np.full(len(wanted), MAX_COMPARED, np.int64)
        members = [np.zeros(0, np.int64)]
        for segment in self.segments:
            left, right = (np.searchsorted(segment.keys[band], wanted, side) for side in ("left", "right"))
            lengths = np.minimum(right - left, room)
            members.append(segment.first_signature + segment.members[band][_ranges(left, lengths)].astype(np.int64))
            room -= lengths
        return np.concatenate(members), (room < MAX_COMPARED)[inverse]

    def owners(self, signatures: Indices) -> Indices:
        """Number of the document that each signature was first seen in."""
        return self._look_up("owners", [s.first_signature for s in self.segments], signatures)

    def survivors(self, documents: Indices) -> Indices:
        """Number of the survivor of each document's cluster."""
        return self._look_up("survivors", [s.first_document for s in self.segments], documents)

    def names(self, survivors: Indices) -> list[str]:
        """Name of each (sorted) survivor."""
        found: list[str] = []
        bounds = np.searchsorted(survivors, [*(s.first_document for s in self.segments), self.num_documents])
        for segment, first, last in zip(self.segments, bounds[:-1], bounds[1:], strict=True):
            found += segment.names.of(survivors[first:last])
        return found

    def copy_minima(self, signatures: Indices, target: Codes) -> None:
        """Write the values of some (sorted) signatures to the rows of `target`."""
        bounds = np.searchsorted(signatures, [*(s.first_signature for s in self.segments), self.num_signatures])
        for segment, first, last in zip(self.segments, bounds[:-1], bounds[1:], strict=True):
            target[first:last] = segment.minima[signatures[first:last] - segment.first_signature]

    def _look_up(self, name: str, starts: list[int], numbers: Indices) -> Indices:
        found = np.zeros(len(numbers), np.int64)
        of = np.searchsorted(np.array(starts, np.int64), numbers, "right") - 1
        for number, segment in enumerate(self.segments):
            here = np.flatnonzero(of == number)
            found[here] = getattr(segment, name)[numbers[here] - starts[number]]
        return found


def _ranges(starts: Indices, lengths: Indices) -> Indices:
    """All positions of the ranges, one range after the other."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
