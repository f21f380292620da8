"""A stream of text as chunks of UTF-8, whichever encoding it began in."""

import codecs
from collections.abc import Iterator

from tasks.formats.byte_stream import ByteStream
from tasks.formats.charset import bom_encoding
from tasks.formats.records import Unusable

_CHUNK_BYTES = 1 << 20


def utf8_chunks(stream: ByteStream, encoding: str | None = None) -> Iterator[bytes]:
    """The stream's bytes without a byte order mark; transcoded when a mark or `encoding` names another encoding.

    What is no character in that encoding becomes what is no UTF-8 either, so that only its own record pays for it.
    """
    first = stream.read(_CHUNK_BYTES)
    encoding = bom_encoding(first) or encoding
    if encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii"):
        yield from _transcoded(first, stream, codecs.lookup(encoding).name)
        return
    yield first.removeprefix(codecs.BOM_UTF8)
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def wide(encoding: str | None) -> str | None:
    """The encoding if bytes of ASCII can be parts of other characters in it: no line can be found before decoding."""
    return encoding if encoding and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) else None


def _transcoded(chunk: bytes, stream: ByteStream, encoding: str) -> Iterator[bytes]:
    errors = "surrogatepass" if wide(encoding) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        while chunk:
            yield decoder.decode(chunk).encode("utf-8", errors)
            chunk = stream.read(_CHUNK_BYTES)
        yield decoder.decode(b"", final=True).encode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", f"the text begins as {encoding}, but: {error.reason}") from None
