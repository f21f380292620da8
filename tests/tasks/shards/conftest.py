"""Encoded documents on disk without a tokenizer."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tasks.shards.packing import Indices
from tasks.shards.stream import TokenStream

BEGIN = 0

Store = Callable[..., tuple[TokenStream, Indices]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """`store(docs, parts=2)`: documents as a stream of so many files, and where each begins."""
    folders = (tmp_path_factory.mktemp("stream") for _ in count())
    return lambda docs, parts=2: _store(next(folders), docs, parts)


def _store(folder: Path, docs: Sequence[Sequence[int]], parts: int) -> tuple[TokenStream, Indices]:
    paths = []
    for part, chosen in enumerate(_split(docs, parts)):
        paths.append(folder / f"{part}.tokens")
        np.array([token for doc in chosen for token in [BEGIN, *doc]], np.uint16).tofile(paths[-1])
    sizes = [len(doc) + 1 for doc in docs]
    return TokenStream(paths, np.dtype(np.uint16)), np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _split(docs: Sequence[Sequence[int]], parts: int) -> Iterator[Sequence[Sequence[int]]]:
    for part in range(parts):
        yield docs[part * len(docs) // parts : (part + 1) * len(docs) // parts]
