"""JSON lines: one object per line, of which one key is the text; a bad line costs only itself."""

import codecs
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from tasks.formats.byte_stream import ByteStream
from tasks.formats.charset import bom_encoding, decode
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable, document_or_empty, excerpt, too_large

_CHUNK_BYTES = 1 << 20
_KEPT_OF_LONG_LINE = 1 << 16


class _Line(NamedTuple):
    number: int
    data: bytes
    size_bytes: int  # more than data has when the line was too long to keep


def read_json_lines(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per line that is not blank; lines count from 1."""
    number = 0
    try:
        for line in _lines(stream, options.max_bytes):
            number = line.number
            if line.size_bytes > len(line.data):
                yield too_large(number, line.size_bytes, options, line.data)
            elif line.data and not line.data.isspace():
                yield _read_line(line, options)
    except Unusable as problem:
        yield problem.at(number + 1)


def _read_line(line: _Line, options: ReadOptions) -> Record:
    try:
        row = _parse(line.data)
    except Unusable as problem:
        return problem.at(line.number)
    text = row.get(options.text_field) if isinstance(row, dict) else None
    if isinstance(text, str):
        if text.isascii() or _is_encodable(text):
            return document_or_empty(line.number, text)
        return Malformed(line.number, "malformed_json", "half a surrogate pair in the text", excerpt(line.data))
    return Malformed(line.number, "missing_text", _what_is_there(row, options.text_field), excerpt(line.data))


def _parse(data: bytes) -> Any:
    """The value of a line; the standard library reads what orjson is too strict for, such as NaN in other keys."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        text = decode(data)  # another encoding, or not_utf8
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise Unusable("malformed_json", str(error), data) from None


def _what_is_there(row: Any, field: str) -> str:
    if not isinstance(row, dict):
        return f"the line is a JSON {type(row).__name__}, not an object with the key {field!r}"
    if field in row:
        return f"{field!r} is {'null' if row[field] is None else type(row[field]).__name__}, not a string"
    return f"no key {field!r}; keys are {', '.join(list(row)[:10]) or 'none'}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lines(stream: ByteStream, max_bytes: int) -> Iterator[_Line]:
    """Lines without their ends; of one over `max_bytes` only the beginning, so that memory stays bounded."""
    number, rest, dropped = 0, b"", 0
    try:
        for chunk in _utf8_chunks(stream):
            head, *others = chunk.split(b"\n")
            rest += head
            for line in others:
                number += 1
                yield _line(number, rest, dropped, max_bytes)
                rest, dropped = line, 0
            if len(rest) > max_bytes:
                rest, dropped = rest[:_KEPT_OF_LONG_LINE], dropped + len(rest) - _KEPT_OF_LONG_LINE
    except Unusable as problem:
        raise Unusable(problem.rule, problem.detail, rest) from None
    if rest:
        yield _line(number + 1, rest, dropped, max_bytes)


def _line(number: int, data: bytes, dropped: int, max_bytes: int) -> _Line:
    size_bytes = len(data) + dropped
    return _Line(number, data if size_bytes <= max_bytes else data[:_KEPT_OF_LONG_LINE], size_bytes)


def _utf8_chunks(stream: ByteStream) -> Iterator[bytes]:
    """The stream's bytes, transcoded when it begins with the mark of another encoding, and without the mark."""
    first = stream.read(_CHUNK_BYTES)
    encoding = bom_encoding(first)
    if encoding is None:
        yield first
    elif encoding == "utf-8-sig":
        yield first[len(codecs.BOM_UTF8) :]
    else:
        yield from _transcoded(first, stream, encoding)
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _transcoded(chunk: bytes, stream: ByteStream, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk:
            yield decoder.decode(chunk).encode()
            chunk = stream.read(_CHUNK_BYTES)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", f"a byte order mark says {encoding}, but: {error.reason}") from None
