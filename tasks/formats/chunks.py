"""The chunks in which a stream of UTF-8 text is read."""

import codecs
from collections.abc import Iterator

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.magic import check_is_text


def text_chunks(stream: ByteStream) -> Iterator[bytes]:
    """The stream's bytes without a byte order mark; Unusable (`not_what_its_name_says`) when they are no text."""
    first = stream.read(CHUNK_BYTES).removeprefix(codecs.BOM_UTF8)
    check_is_text(first)
    yield first
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
