"""JSON lines: one object per line, of which one key is the text; a bad line costs only itself."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson

from tasks.formats.byte_stream import ByteStream
from tasks.formats.charset import decode
from tasks.formats.chunks import text_chunks
from tasks.formats.fields import read_fields
from tasks.formats.line_batches import TooLong, count_lines, line_blocks, lines_of
from tasks.formats.records import Document, Documents, ReadOptions, Record, Records, Unusable, too_large

_WORTHWHILE = 8
"""Plain lines in a row that are worth another call of the kernel."""


def read_json_lines(stream: ByteStream, options: ReadOptions) -> Iterator[Records]:
    """A document per line that is not blank; lines count from 1."""
    return read_lines(text_chunks(stream), options)


def read_lines(chunks: Iterable[bytes], options: ReadOptions) -> Iterator[Records]:
    """The documents of JSON lines in chunks of any size."""
    are_texts = not options.metadata_fields and "." not in options.text_field
    number = 0
    try:
        for first, block in line_blocks(chunks, options.max_bytes):
            yield from (_texts if are_texts else _records)((first,), number, options)
            if are_texts and len(block) <= options.max_bytes:
                yield from _plain_texts(block, number + 1, options)
            else:
                yield from _records(lines_of(block, options.max_bytes), number + 1, options)
            number += 1 + count_lines(block)
    except Unusable as problem:
        yield problem.at(number + 1)


def _plain_texts(block: bytes, number: int, options: ReadOptions) -> Iterator[Records]:
    """The records of whole lines of which only a key at the top is wanted: what is usual takes the shortest way."""
    from tasks.formats.json_texts import read_plain_lines

    data, key, at = np.frombuffer(block, np.uint8), options.text_field.encode(), 0
    last = number + count_lines(block)
    while at < len(block):
        texts, at = read_plain_lines(data, at, key, last - number)
        if num_texts := len(texts.offsets) - 1:
            yield Documents(number + 1, texts)
        number += num_texts
        if at < len(block):
            end = block.index(b"\n", at) + 1 if num_texts >= _WORTHWHILE else len(block)
            others = block[at:end].split(b"\n")[:-1]
            yield from _texts(others, number, options)
            number, at = number + len(others), end


def _texts(lines: Iterable[bytes | TooLong], number: int, options: ReadOptions) -> Iterator[Record]:
    """The records of lines of which only a key at the top is wanted: what is good JSON takes a short way."""
    field, loads = options.text_field, orjson.loads  # orjson gives no surrogates, and the line is within the limit
    for line in lines:
        number += 1
        try:
            text = loads(line)[field] if isinstance(line, bytes) else None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            text = None
        if type(text) is str and text and not text.isspace():
            yield Document(number, text)
        else:
            yield from _records((line,), number - 1, options)


def _records(lines: Iterable[bytes | TooLong], number: int, options: ReadOptions) -> Iterator[Record]:
    for line in lines:
        number += 1
        if isinstance(line, TooLong):
            yield too_large(number, line.size_bytes, options, line.beginning)
        elif line and not line.isspace():
            yield read_value(number, line, options)


def read_value(position: int, data: bytes, options: ReadOptions) -> Record:
    """The record of one JSON value."""
    try:
        return read_fields(position, parse(data), options, data)
    except Unusable as problem:
        return problem.at(position)


def parse(data: bytes) -> Any:
    """A JSON value; the standard library reads what orjson is too strict for, such as NaN in other keys."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            text = decode(data)
            return json.loads(text)
        except Unusable as problem:
            raise Unusable(problem.rule, problem.detail, data) from None
        except (ValueError, RecursionError):
            raise Unusable("malformed_json", str(error), data) from None
