"""JSON files: arrays of objects, one object, or objects one after the other; and JSON lines under the name of .json."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import orjson

from tasks.formats.byte_stream import ByteStream
from tasks.formats.chunks import text_chunks
from tasks.formats.json_lines import read_lines, read_value
from tasks.formats.line_batches import Pieces, TooLong
from tasks.formats.records import ReadOptions, Record, Records, Unusable, too_large

_SPANS = 4096
_LINES_LOOKED_AT = 100


def read_json(stream: ByteStream, options: ReadOptions) -> Iterator[Records]:
    """A document per element of an array, or per object; values count from 1, or by their line in JSON lines.

    A value that is bad within its own brackets costs only itself; one that lacks a bracket may cost those after it.
    """
    chunks = text_chunks(stream)
    number = 0
    try:
        first = next(chunks, b"")
        if _is_json_lines(first):
            yield from read_lines(chain((first,), chunks), options)
            return
        for number, value in enumerate(_values(chain((first,), chunks), options.max_bytes), start=1):
            yield _read(number, value, options)
    except Unusable as problem:
        yield problem.at(number + 1)


def _read(number: int, value: bytes | TooLong, options: ReadOptions) -> Record:
    if isinstance(value, TooLong):
        return too_large(number, value.size_bytes, options, value.beginning)
    return read_value(number, value, options)


def _values(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes | TooLong]:
    """The values of a file; Unusable when it ends within one, or within the array."""
    from tasks.formats.json_structure import (
        CONTINUED,
        DEPTH,
        IN_ARRAY,
        IN_STRING,
        NONE,
        START,
        STOPPED,
        find_values,
        new_state,
    )

    state, brackets = new_state()
    spans = np.zeros((_SPANS, 2), np.int64)
    value = Pieces(max_bytes)
    for chunk in chunks:
        data, at = np.frombuffer(chunk, np.uint8), 0
        while at < len(chunk):
            num_found = find_values(data, at, state, brackets, spans)
            for start, end in spans[:num_found].tolist():
                value.add(chunk[max(start, 0) : end])
                yield value.end()
            at = int(state[STOPPED])
        if state[START] != NONE:
            value.add(chunk[max(state[START], 0) :])
            state[START] = CONTINUED
    if state[START] != NONE:
        last = value.end()
        if isinstance(last, bytes) and (state[DEPTH] or state[IN_STRING]):
            raise Unusable("malformed_json", "the file ends within this value", last)
        yield last
    if state[IN_ARRAY]:
        raise Unusable("malformed_json", "the file ends within its array")


def _is_json_lines(first: bytes) -> bool:
    """Whether a line that is not indented is an object by itself; in other layouts only an array's elements are."""
    if first.lstrip()[:1] != b"{":
        return False
    lines = first.split(b"\n", _LINES_LOOKED_AT)[:-1]
    return any(line.startswith(b"{") and _is_object(line) for line in lines)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
