"""Encoded examples on disk: first file by file as they are read, then packed into blocks that keep them apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.artifacts.digest import commit
from tasks.examples.encoding import IGNORED, Example
from tasks.shards.best_fit import best_fit
from tasks.shards.packing import token_dtype

ENCODED = pa.schema(
    [
        pa.field("side", pa.string(), nullable=False),  # train or validation
        pa.field("label", pa.string()),
        *(pa.field(f"inputs_{side}", pa.list_(pa.uint32()), nullable=False) for side in (0, 1)),
        *(pa.field(f"targets_{side}", pa.list_(pa.int32()), nullable=False) for side in (0, 1)),
    ]
)
_WINDOW = 1 << 18
_BATCH_BLOCKS = 256
Ints = npt.NDArray[np.int64]


def encoded_batch(examples: Sequence[tuple[str, Example]]) -> pa.RecordBatch:
    """Examples, each with its side of the split, as a batch of schema ENCODED; a second text may be missing."""
    columns: list[list[object]] = [[] for _ in ENCODED]
    for side, example in examples:
        columns[0].append(side)
        columns[1].append(example.label)
        for number in (0, 1):
            there = number < len(example.sides)
            columns[2 + number].append(example.sides[number].inputs if there else [])
            columns[4 + number].append(example.sides[number].targets if there else [])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ENCODED, strict=True)]
    return pa.record_batch(arrays, schema=ENCODED)


@dataclass(frozen=True)
class Shape:
    """What blocks of examples have in common."""

    context: int
    vocab_size: int
    padding: int
    sides: int
    """Texts of an example, each in a row of its own: block b has the rows b * sides and following."""


class Packed:
    """Examples of one side of the split, packed by best fit; none is cut, none shares its attention with another."""

    def __init__(self, tables: Sequence[pa.Table], shape: Shape, labels: Sequence[str]) -> None:
        self._table = pa.concat_tables(tables).combine_chunks()
        self._shape = shape
        self._labels = {label: number for number, label in enumerate(labels)}
        lengths = [self._lengths(side) for side in range(shape.sides)]
        self._sizes: Ints = np.max(lengths, axis=0) if len(self._table) else np.zeros(0, np.int64)
        self._bins = self._pack()

    @property
    def num_examples(self) -> int:
        """Examples in all."""
        return len(self._sizes)

    @property
    def num_blocks(self) -> int:
        """Blocks in all."""
        return int(self._bins.max(initial=-1)) + 1

    @property
    def num_targets(self) -> int:
        """Positions that are learned."""
        if self._labels:
            return self.num_examples
        columns = [self._table.column(f"targets_{side}").combine_chunks() for side in range(self._shape.sides)]
        return sum(int(np.count_nonzero(column.flatten().to_numpy() != IGNORED)) for column in columns)

    @property
    def padding_share(self) -> float:
        """Share of the positions that hold nothing."""
        total = self.num_blocks * self._shape.context * self._shape.sides
        used = sum(int(self._lengths(side).sum()) for side in range(self._shape.sides))
        return 1 - used / max(total, 1)

    def write(self, path: Path, first: int, last: int) -> None:
        """Blocks first to last - 1 as an uncompressed Arrow file of fixed-size rows, whole or not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        order = np.argsort(self._bins, kind="stable")
        bounds = np.searchsorted(self._bins[order], np.arange(first, last + 1))
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, _schema(self._shape)) as writer:
            for start in range(first, last, _BATCH_BLOCKS):
                stop = min(start + _BATCH_BLOCKS, last)
                members = [order[bounds[b - first] : bounds[b - first + 1]] for b in range(start, stop)]
                writer.write_batch(self._batch(members))
        commit(temporary, path)

    def _pack(self) -> Ints:
        """The block of each example, packed window by window."""
        bins, before = np.empty(len(self._sizes), np.int64), 0
        for low in range(0, len(self._sizes), _WINDOW):
            found = best_fit(np.ascontiguousarray(self._sizes[low : low + _WINDOW]), self._shape.context)
            bins[low : low + _WINDOW] = found + before
            before += int(found.max(initial=-1)) + 1
        return bins

    def _lengths(self, side: int) -> Ints:
        column = self._table.column(f"inputs_{side}").combine_chunks()
        lengths: Ints = np.diff(column.offsets.to_numpy()).astype(np.int64)
        return lengths

    def _batch(self, members: Sequence[Ints]) -> pa.RecordBatch:
        shape = self._shape
        rows = (len(members) * shape.sides, shape.context)
        inputs = np.full(rows, shape.padding, token_dtype(shape.vocab_size))
        targets, segments = np.full(rows, IGNORED, np.int32), np.zeros(rows, np.int32)
        for block, examples in enumerate(members):
            for side in range(shape.sides):
                row, at = block * shape.sides + side, 0
                for number, example in enumerate(examples.tolist(), start=1):
                    tokens, wanted = self._side(side, example)
                    here = slice(at, at + len(tokens))
                    inputs[row, here], targets[row, here], segments[row, here] = tokens, wanted, number
                    at += len(tokens)
        columns = [_fixed(array) for array in (inputs, targets, segments)]
        return pa.record_batch(columns, schema=_schema(shape))

    def _side(self, side: int, example: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
        tokens = self._table.column(f"inputs_{side}")[example].values.to_numpy()
        targets = self._table.column(f"targets_{side}")[example].values.to_numpy()
        if self._labels:
            targets = targets.copy()
            targets[-1] = self._labels[self._table.column("label")[example].as_py()]
        return tokens, targets


def read_encoded(paths: Sequence[Path], side: str) -> list[pa.Table]:
    """The examples of one side of the split, from all files in order."""
    return [batch for path in paths for batch in _of_side(path, side)] or [ENCODED.empty_table()]


def _of_side(path: Path, side: str) -> Iterator[pa.Table]:
    import pyarrow.compute as pc

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    yield table.filter(pc.equal(table.column("side"), side))


def _schema(shape: Shape) -> pa.Schema:
    token = pa.from_numpy_dtype(token_dtype(shape.vocab_size))
    kinds = {"input_ids": token, "targets": pa.int32(), "segments": pa.int32()}
    return pa.schema([pa.field(name, pa.list_(kind, shape.context)) for name, kind in kinds.items()])


def _fixed(array: npt.NDArray[np.generic]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
