"""The records of a WARC file (ISO 28500) as they stand in it, of which a damaged one costs only itself.

FastWARC would end at the first damage, or take a following record for the body of one whose length is wrong.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tasks.formats.byte_stream import ByteStream
from tasks.formats.gzip_members import GzipMembers
from tasks.formats.lookahead import Lookahead
from tasks.formats.records import Unusable

_MAX_HEADER_BYTES = 1 << 16
_BEGIN = b"WARC/1."
_END = b"\r\n\r\n"
_SEARCH_BYTES = 1 << 20
_FIELD = re.compile(r"^([^:\s]+):[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)


class Block(NamedTuple):
    """A record of a WARC file."""

    headers: dict[str, str]
    """By their names in lower case."""
    data: bytes
    """All of the record, its header included."""
    body_at: int


class TooLongBlock(NamedTuple):
    """A record whose body was too long to keep."""

    headers: dict[str, str]
    size_bytes: int


def read_blocks(stream: ByteStream, max_bytes: int) -> Iterator[Block | TooLongBlock | Unusable]:
    """The records in order, whether they are gzipped or not; for each damaged one what is wrong with it."""
    packed = Lookahead(stream)
    members = GzipMembers(packed) if packed.peek(2) == b"\x1f\x8b" else None
    source = Lookahead(members) if members else packed
    block: Block | TooLongBlock | Unusable | None = None
    while True:
        try:
            is_end = _is_end(source)
        except Unusable as problem:
            if block is not None and not (members and members.was_read):  # else its own member is damaged
                yield block
            yield problem
            block = None
            continue
        if block is not None:
            yield block
        if is_end:
            return
        try:
            block = _next_block(source, max_bytes)
        except Unusable as problem:
            source.drop()
            block = problem


def _is_end(source: Lookahead) -> bool:
    while (byte := source.peek(1)) in (b"\r", b"\n"):
        source.skip(1)
    return not byte


def _next_block(source: Lookahead, max_bytes: int) -> Block | TooLongBlock | Unusable:
    header_bytes = source.find(_END, _MAX_HEADER_BYTES)
    header = source.peek(max(header_bytes, len(_BEGIN)))
    if header_bytes < 0 or not header.startswith(_BEGIN):
        return _damaged(source, f"no WARC record begins with the bytes {header[:8].hex(' ')}")
    headers = {name.lower(): value for name, value in _FIELD.findall(header.decode("utf-8", "replace"))}
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        return _damaged(source, f"Content-Length is {length!r}")
    body_at = header_bytes + len(_END)
    if int(length) > max_bytes:
        if not _skip_body(source, body_at + int(length)):
            return Unusable("damaged_warc", "its Content-Length reaches beyond the next record or the end of the file")
        return TooLongBlock(headers, int(length))
    size = body_at + int(length)
    data = source.peek(size + len(_END))
    if len(data) < size:
        return _damaged(source, "the file ends before the record does")
    if data[size:].strip(b"\r\n"):
        return _damaged(source, "no line ends stand where its Content-Length says that it ends")
    source.skip(size)
    return Block(headers, data[:size], body_at)


def _damaged(source: Lookahead, detail: str) -> Unusable:
    """What is wrong with a record, once the source is at the next one."""
    problem = Unusable("damaged_warc", detail)
    source.skip(1)
    while (at := source.find(_BEGIN, _SEARCH_BYTES)) < 0:
        step = _SEARCH_BYTES - len(_BEGIN)
        if source.skip(step) < step:
            return problem
    source.skip(at)
    return problem


def _skip_body(source: Lookahead, size: int) -> bool:
    """Go to the end of a body, or to the record that begins before it; whether it ended as it should."""
    while size > 0:
        step = min(size, _SEARCH_BYTES)
        if (at := source.find(_END + _BEGIN, step)) >= 0:
            source.skip(at)
            return False
        step = max(step - len(_END + _BEGIN), 1)
        if source.skip(step) < step:
            return False
        size -= step
    return True
