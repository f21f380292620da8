"""Evaluation texts on disk: a table per shard or file, with the n-grams of each text and what names it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from params.ingest import IngestParams
from tasks.artifacts.digest import commit
from tasks.contamination.ngrams import NgramSizes, Profiles, profile
from tasks.documents.shards import read_batches
from tasks.files.hashing import HashedFile
from tasks.files.places import Root, locate
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import Malformed, ReadOptions
from tasks.text.normalization import normalize

ITEM = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # id, source, path and position; or file, position and field
        pa.field("excerpt", pa.string(), nullable=False),  # how the text begins, or what is wrong with the record
        pa.field("num_tokens", pa.int64(), nullable=False),  # -1 for a record that could not be read
        pa.field("is_unspaced", pa.bool_(), nullable=False),  # mostly Han or the like
        pa.field("whole", pa.uint64(), nullable=False),  # hash of all tokens
        pa.field("anchor", pa.uint64(), nullable=False),  # see ngrams.Profiles
        pa.field("ngrams", pa.large_list(pa.uint64()), nullable=False),  # each once, sorted
        pa.field("canary", pa.large_string()),  # the text itself, of a few that canaries may be made of
    ]
)
_NUM_CANARIES = 3
_CANARY_BYTES = 1 << 16
_EXCERPT_CHARACTERS = 160
_CHUNK_BYTES = 4_000_000


@dataclass(frozen=True)
class HeldOutPart:
    """A shard of validation or test documents."""

    set_name: str
    shard: Path


@dataclass(frozen=True)
class FilePart:
    """One field of one file of an evaluation set."""

    set_name: str
    root: Root
    file: HashedFile
    field: str


Part = HeldOutPart | FilePart


class Texts(NamedTuple):
    """Some evaluation texts and their names."""

    names: list[str]
    column: pa.LargeStringArray
    problems: list[bool]
    """Whether it is no text but what is wrong with a record."""


def collect(part: Part, path: Path, *, sizes: NgramSizes, max_bytes: int) -> None:
    """Write the table of a part, unless an earlier attempt did; memory is bounded by a few megabytes of text."""
    if path.exists():
        return
    batches = _held_out(part) if isinstance(part, HeldOutPart) else _from_file(part, max_bytes, path.parent)
    wanted = dict.fromkeys((False, True), _NUM_CANARIES)
    with _table_writer(path) as writer:
        for texts in batches:
            found = profile(texts.column, sizes)
            writer.write_batch(_items(texts, found, _canaries(texts, found, wanted)))


def document_name(row: dict[str, object]) -> str:
    """Id, source, path and, inside a file of many, position."""
    position = f":{row['position']}" if row["position"] else ""
    return f"{row['id']} {row['source']}/{row['path']}{position}"


def _held_out(part: HeldOutPart) -> Iterator[Texts]:
    for batch in read_batches(part.shard):
        rows = batch.select(["id", "source", "path", "position"]).to_pylist()
        yield Texts([document_name(row) for row in rows], batch.column("text"), [False] * len(rows))


def _from_file(part: FilePart, max_bytes: int, scratch: Path) -> Iterator[Texts]:
    """Texts in normal form, as training documents are."""
    options = ReadOptions(text_field=part.field, max_bytes=max_bytes)
    reader = FileReader(options, Unpacking.within(IngestParams(), scratch))
    path = part.file.path
    names, texts, problems, size = list[str](), list[str](), list[bool](), 0
    for member, record in reader.read(locate(part.root, path), part.file.sha256):
        is_problem = isinstance(record, Malformed)
        file = f"{path}!/{member}" if member else path
        place = f"{file}:{record.position}" if record.position else file
        names.append(f"{place} {part.field}" if record.position else place)
        texts.append(f"{record.rule}: {record.detail}" if isinstance(record, Malformed) else record.text)
        problems.append(is_problem)
        size += len(texts[-1])
        if size >= _CHUNK_BYTES:
            yield Texts(names, normalize(pa.array(texts, pa.large_string())), problems)
            names, texts, problems, size = [], [], [], 0
    if names:
        yield Texts(names, normalize(pa.array(texts, pa.large_string())), problems)


def _items(texts: Texts, found: Profiles, canaries: list[str | None]) -> pa.RecordBatch:
    problems = np.array(texts.problems, np.bool_)
    per_text = [
        np.unique(found.hashes[start:stop]) if not is_problem else np.zeros(0, np.uint64)
        for start, stop, is_problem in zip(found.offsets[:-1], found.offsets[1:], texts.problems, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in per_text])]).astype(np.int64)
    hashes = np.concatenate([np.zeros(0, np.uint64), *per_text])
    columns = [
        pa.array(texts.names, pa.string()),
        pa.array([_excerpt(text.as_py()) for text in texts.column], pa.string()),
        pa.array(np.where(problems, -1, found.num_tokens)),
        pa.array(_is_unspaced(found)),
        pa.array(found.whole),
        pa.array(np.where(problems, np.uint64(0), found.anchors)),
        pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes)),
        pa.array(canaries, pa.large_string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ITEM)


def _canaries(texts: Texts, found: Profiles, wanted: dict[bool, int]) -> list[str | None]:
    """The first texts of either kind, spaced and unspaced, while `wanted` of that kind are left."""
    chosen: list[str | None] = [None] * len(texts.names)
    fits = (np.diff(found.offsets) > 0) & ~np.array(texts.problems, np.bool_)
    is_unspaced = _is_unspaced(found)
    for index in np.flatnonzero(fits).tolist():
        kind = bool(is_unspaced[index])
        if not any(wanted.values()):
            break
        text = texts.column[index].as_py()
        if wanted[kind] and len(text.encode()) <= _CANARY_BYTES:
            wanted[kind] -= 1
            chosen[index] = text
    return chosen


def _is_unspaced(found: Profiles) -> npt.NDArray[np.bool_]:
    return found.num_unspaced * 2 > found.num_tokens


def _excerpt(text: str) -> str:
    return " ".join(text[: 2 * _EXCERPT_CHARACTERS].split())[:_EXCERPT_CHARACTERS]


@contextmanager
def _table_writer(path: Path) -> Iterator[pa.RecordBatchFileWriter]:
    """Not compressed, so that a memory map reads one item without the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, ITEM) as writer:
        yield writer
    commit(temporary, path)


class Items:
    """All evaluation texts by number, in the order of sets, parts and records; they stay on disk."""

    def __init__(self, parts: Iterable[tuple[str, Path]]) -> None:
        self._parts = list(parts)
        self._paths = list[Path]()
        self._batches = list[pa.RecordBatch]()  # in memory maps, of which the pages of single items are read
        starts, self.set_names, bounds = [0], list[str](), [0]
        for set_name, path in self._parts:
            if not self.set_names or self.set_names[-1] != set_name:
                self.set_names.append(set_name)
                bounds.append(bounds[-1])
            self._paths.append(path)
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                self._batches.append(batch)
                starts.append(starts[-1] + batch.num_rows)
            bounds[-1] = starts[-1]
        self._starts = np.array(starts, np.int64)
        self.bounds = np.array(bounds, np.int64)
        """(sets + 1,): the items of set s are those from `bounds[s]` to `bounds[s + 1]`."""

    def __reduce__(self) -> tuple[type["Items"], tuple[list[tuple[str, Path]]]]:
        """Pickled as the paths: another process maps the same files."""
        return Items, (self._parts,)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batches(self, *columns: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Number of the first item, and the items, a batch in memory at a time."""
        start = 0
        for path in self._paths:
            with pa.OSFile(str(path)) as source:
                options = pa.ipc.IpcReadOptions(included_fields=[ITEM.get_field_index(name) for name in columns])
                reader = pa.ipc.open_file(source, options=options)
                for index in range(reader.num_record_batches):
                    batch = reader.get_batch(index)
                    yield start, batch
                    start += batch.num_rows

    def get(self, item: int, column: str) -> str:
        """The name or the excerpt of an item."""
        index = int(np.searchsorted(self._starts, item, side="right")) - 1
        return str(self._batches[index].column(column)[item - int(self._starts[index])].as_py())

    def set_of(self, item: int) -> str:
        """The set that an item belongs to."""
        return self.set_names[int(np.searchsorted(self.bounds, item, side="right")) - 1]

    def items_of(self, set_name: str) -> range:
        """Numbers of the items of a set; none when the set is not there."""
        if set_name not in self.set_names:
            return range(0)
        index = self.set_names.index(set_name)
        return range(int(self.bounds[index]), int(self.bounds[index + 1]))
