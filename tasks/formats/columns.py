"""Columns of Arrow tables to records: which are wanted, and what each row of them holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tasks.formats.charset import decode
from tasks.formats.fields import read_text, to_json
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable, excerpt, too_large

_BATCH_BYTES = 8_000_000
_MAX_ROWS = 1024
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


class Column(NamedTuple):
    """A column of a table, or a field of a struct column."""

    name: str
    """As it was asked for."""
    top_index: int
    """Of the column at the top."""
    top: str
    """Name of the column at the top."""
    steps: tuple[str, ...]
    """Names of the struct fields below it."""
    kind: pa.DataType


@dataclass(frozen=True)
class Projection:
    """The columns that make a document."""

    text: Column
    metadata: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them."""
        return (self.text, *self.metadata)


def project(schema: pa.Schema, options: ReadOptions) -> Projection:
    """The wanted columns of a table; Unusable (`missing_text`) when the text is not there or holds no strings."""
    field = options.text_field
    text = _column(schema, field)
    if text is None:
        raise Unusable("missing_text", f"no column {field!r}; columns are {', '.join(schema.names[:20])}")
    kind = text.kind.value_type if pa.types.is_dictionary(text.kind) else text.kind
    if not any(test(kind) for test in (*_STRINGS, *_BINARY, pa.types.is_null)):
        raise Unusable("missing_text", f"column {field!r} holds {text.kind}, not strings")
    metadata = (_column(schema, name) for name in options.metadata_fields)
    return Projection(text, tuple(column for column in metadata if column is not None))


def rows_per_batch(size_bytes: int, num_rows: int) -> int:
    """How many rows to have in memory at once when `num_rows` take `size_bytes`.

    Long texts come few at a time, so that a batch stays far from the 2 GB that a string column can hold.
    """
    return max(1, min(_MAX_ROWS, _BATCH_BYTES * num_rows // max(size_bytes, 1)))


def read_batch(batch: pa.RecordBatch, projection: Projection, row: int, options: ReadOptions) -> Iterator[Record]:
    """The records of a batch of the wanted columns; its first row is number `row` + 1.

    Raises ArrowInvalid for a damaged batch. Everything is validated before it is used: offsets and indices that point
    outside their buffers would end the process, not only the file.
    """
    texts = _as_binary(_values(batch, projection.text))
    metadata = [(column.name, _readable(_values(batch, column))) for column in projection.metadata]
    step = rows_per_batch(texts.nbytes, batch.num_rows)
    for start in range(0, batch.num_rows, step):
        columns = [(name, values.slice(start, step).to_pylist()) for name, values in metadata]
        for offset, value in enumerate(texts.slice(start, step).to_pylist()):
            found = {name: values[offset] for name, values in columns}
            yield _record(row + start + offset + 1, value, found, options)


def _record(row: int, value: bytes | None, found: dict[str, Any], options: ReadOptions) -> Record:
    if value is None:
        return Malformed(row, "missing_text", f"{options.text_field!r} is null")
    if len(value) > options.max_bytes:
        return too_large(row, len(value), options, value)
    try:
        return read_text(row, decode(value, options.encoding), to_json(found) if found else None, options)
    except Unusable as problem:
        return Malformed(row, problem.rule, problem.detail, excerpt(value))


def _column(schema: pa.Schema, name: str) -> Column | None:
    """A column by its name, else by the struct fields that dots separate."""
    if indices := schema.get_all_field_indices(name):
        return Column(name, indices[0], name, (), schema.field(indices[0]).type)
    top, *steps = name.split(".")
    if not (indices := schema.get_all_field_indices(top)):
        return None
    kind = schema.field(indices[0]).type
    for step in steps:
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return None
        kind = kind.field(step).type
    return Column(name, indices[0], top, tuple(steps), kind)


def _values(batch: pa.RecordBatch, column: Column) -> pa.Array:
    values = batch.column(batch.schema.get_all_field_indices(column.top)[0])
    values.validate()
    return pc.struct_field(values, list(column.steps)) if column.steps else values


def _as_binary(values: pa.Array) -> pa.Array:
    """Strings as bytes: a writer may have put into a string column what is not UTF-8, which one row shall pay for."""
    if pa.types.is_dictionary(values.type):
        return _decoded(values, _as_binary(values.dictionary))
    if pa.types.is_string(values.type):
        values = values.view(pa.binary())
    elif pa.types.is_large_string(values.type):
        values = values.view(pa.large_binary())
    values.validate(full=True)
    return values.cast(pa.large_binary())


def _decoded(values: pa.DictionaryArray, dictionary: pa.Array) -> pa.Array:
    """The values of a dictionary column, whose own dictionary is given in another form."""
    values.indices.validate(full=True)
    return pa.DictionaryArray.from_arrays(values.indices, dictionary, safe=True).dictionary_decode()


def _readable(values: pa.Array) -> pa.Array:
    """Values that Python can hold: it has no nanoseconds."""
    if pa.types.is_dictionary(values.type):
        return _decoded(values, _readable(values.dictionary))
    if any(test(values.type) for test in _STRINGS):
        return _as_binary(values)
    values.validate(full=True)
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        return values.cast(pa.timestamp("us", values.type.tz), safe=False)
    return values
