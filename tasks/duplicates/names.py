"""Names of documents by number, in files: rejected documents and indexes say by them who survived."""

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tasks.artifacts.digest import commit_in_draft
from tasks.duplicates.arrays import load_array, save_array
from tasks.duplicates.clusters import Indices

_TEXT, _NUMBERS, _SPANS = "names.txt", "name_numbers.npy", "name_spans.npy"


class Names:
    """A table of names: 24 bytes a document beside the names themselves, read through memory maps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = np.memmap(folder / _TEXT, np.uint8, "r") if (folder / _TEXT).stat().st_size else b""
        self._numbers: Indices = load_array(folder / _NUMBERS)
        self._spans: Indices = load_array(folder / _SPANS)

    def __reduce__(self) -> tuple[type["Names"], tuple[Path]]:
        """Pickled as the folder: another process maps the same files."""
        return Names, (self._folder,)

    def of(self, numbers: Indices) -> list[str]:
        """The name of each number; all must be there."""
        spans = self._spans[np.searchsorted(self._numbers, numbers)].tolist()
        return [bytes(self._text[start:stop]).decode() for start, stop in spans]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Every number with its name, by number."""
        for number, (start, stop) in zip(self._numbers.tolist(), self._spans.tolist(), strict=True):
            yield number, bytes(self._text[start:stop]).decode()


def write_names(folder: Path, names: Iterable[tuple[int, str]]) -> None:
    """Write a table of (number, name), in any order; only the numbers and places are in memory, 24 bytes each."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{_TEXT}.tmp"
    places = array("q")
    end = 0
    with temporary.open("wb") as file:
        for number, name in names:
            start, end = end, end + file.write(name.encode())
            places.extend((number, start, end))
    commit_in_draft(temporary, folder / _TEXT)
    table = np.frombuffer(places, np.int64).reshape(-1, 3)
    table = table[np.argsort(table[:, 0])]
    save_array(folder / _NUMBERS, table[:, 0])
    save_array(folder / _SPANS, table[:, 1:])
