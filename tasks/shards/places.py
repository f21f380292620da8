"""From a document to the blocks that hold it, and from a block to its documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.documents.shards import shard_name
from tasks.shards.documents import read_columns
from tasks.shards.greedy import cut_stream
from tasks.shards.packing import Pieces

PIECES_FOLDER = "pieces"


@dataclass(frozen=True)
class Place:
    """A run of a document's tokens within a block."""

    shard: str
    """File, relative to the result's folder."""
    row: int
    """The block's row in it."""
    first: int
    """Position in the block of the run's first token; the begin token stands before the document, if anywhere."""
    last: int
    """Position in the block of its last token."""
    start: int
    """Place in the document of its first token, from 0."""


@dataclass(frozen=True)
class Occupant:
    """A document in a block, and where its tokens stand there."""

    document: int
    """Row in the table of documents."""
    id: str
    source: str
    path: str
    position: int
    """Line or row in the file, from 1; 0 for a whole file."""
    first: int
    last: int
    start: int


def rows_of(folder: Path, split: str, doc_id: str) -> list[int]:
    """Rows of a document in the table of its split: one, none where it is in another, more where ids repeat."""
    rows: list[int] = []
    base = 0
    for batch in read_columns(_table(folder, split), ["id"]):
        rows += (np.flatnonzero(pc.equal(batch.column("id"), doc_id).to_numpy(zero_copy_only=False)) + base).tolist()
        base += len(batch)
    return rows


def places_of(folder: Path, split: str, row: int) -> list[Place]:
    """Where the tokens of a document lie, by its row; nowhere if a mixture left it out.

    In a greedy stream two neighbouring blocks share a token, which is then named in both.
    """
    if (folder / PIECES_FOLDER / split).exists():
        return [place for path in _shards(folder, split) for place in _recorded(folder, split, path.name, row)]
    document = _read_rows(_table(folder, split), [row])[0]
    pieces = cut_stream(np.array([document["offset"]]), np.array([document["num_tokens"]]), _context(folder, split))
    rows = _rows_per_shard(folder, split)
    return [_place(split, shard_name(block // rows), block % rows, *run) for block, _, *run in _each(pieces)]


def documents_in(folder: Path, split: str, shard: str, row: int) -> list[Occupant]:
    """The documents of a block, by the name of its file (NNNNNN.arrow) and its row there, in order of position."""
    pieces = _pieces_in(folder, split, shard, row)
    documents = _read_rows(_table(folder, split), pieces.document.tolist())
    return [
        Occupant(
            document=number,
            id=found["id"],
            source=found["source"],
            path=found["path"],
            position=found["position"],
            first=at,
            last=at + length - 1,
            start=start,
        )
        for (_, number, at, start, length), found in zip(_each(pieces), documents, strict=True)
    ]


def _pieces_in(folder: Path, split: str, shard: str, row: int) -> Pieces:
    if (folder / PIECES_FOLDER / split).exists():
        table = pa.Table.from_batches(read_columns(folder / PIECES_FOLDER / split / shard))
        return _pieces(table.filter(pc.equal(table["block"], row)))
    context = _context(folder, split)
    block = int(Path(shard).stem) * _rows_per_shard(folder, split) + row
    first, base = block * context, 0
    rows, offsets, lengths = [], [], []
    for batch in read_columns(_table(folder, split), ["offset", "num_tokens"]):
        offset, length = batch.column("offset").to_numpy(), batch.column("num_tokens").to_numpy()
        here = np.flatnonzero((offset + length >= first) & (offset < first + context))
        rows.append(here + base)
        offsets.append(offset[here])
        lengths.append(length[here])
        base += len(batch)
    cut = cut_stream(np.concatenate(offsets), np.concatenate(lengths), context)
    inside = cut.block == block
    return Pieces(
        block=cut.block[inside],
        document=np.concatenate(rows)[cut.document[inside]],
        at=cut.at[inside],
        start=cut.start[inside],
        length=cut.length[inside],
    )


def _recorded(folder: Path, split: str, name: str, row: int) -> Iterator[Place]:
    for batch in read_columns(folder / PIECES_FOLDER / split / name):
        for block, _, *run in _each(_pieces(batch.filter(pc.equal(batch.column("document"), row)))):
            yield _place(split, name, block, *run)


def _place(split: str, name: str, block: int, at: int, start: int, length: int) -> Place:
    return Place(f"{split}/{name}", row=block, first=at, last=at + length - 1, start=start)


def _pieces(table: pa.Table | pa.RecordBatch) -> Pieces:
    return Pieces(**{name: table.column(name).to_numpy() for name in table.schema.names})


def _each(pieces: Pieces) -> Iterator[tuple[int, int, int, int, int]]:
    """(block, document, at, start, length) of each piece."""
    columns = (pieces.block, pieces.document, pieces.at, pieces.start, pieces.length)
    yield from zip(*(column.tolist() for column in columns), strict=True)


def _read_rows(path: Path, rows: list[int]) -> list[dict[str, Any]]:
    """Rows of a table, in the order asked for."""
    found: dict[int, dict[str, Any]] = {}
    base = 0
    wanted = np.array(sorted(set(rows)), np.int64)
    for batch in read_columns(path):
        here: npt.NDArray[np.int64] = wanted[(wanted >= base) & (wanted < base + len(batch))]
        found |= dict(zip(here.tolist(), batch.take(pa.array(here - base)).to_pylist(), strict=True))
        base += len(batch)
    return [found[row] for row in rows]


def _table(folder: Path, split: str) -> Path:
    return folder / "documents" / f"{split}.arrow"


def _shards(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split).glob("*.arrow"))


def _context(folder: Path, split: str) -> int:
    with pa.memory_map(str(folder / split / shard_name(0))) as source:
        return int(pa.ipc.open_file(source).schema.field("input_ids").type.list_size) - 1


def _rows_per_shard(folder: Path, split: str) -> int:
    """Blocks of every shard but the last, which may have fewer."""
    with pa.memory_map(str(folder / split / shard_name(0))) as source:
        reader = pa.ipc.open_file(source)
        return sum(int(reader.get_batch(index).num_rows) for index in range(reader.num_record_batches))
