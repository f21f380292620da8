"""WARC and WET files: the main text of the pages that a crawler fetched, or the text that was made of them."""

import io
import re
from collections.abc import Iterator

from tasks.formats.byte_stream import ByteStream
from tasks.formats.charset import declared_encoding
from tasks.formats.fields import metadata_of
from tasks.formats.plain_text import decode_text
from tasks.formats.records import (
    Document,
    Malformed,
    ReadOptions,
    Record,
    Unusable,
    document_or_empty,
    excerpt,
    too_large,
)
from tasks.formats.warc_blocks import Block, TooLongBlock, read_blocks
from tasks.formats.web_page import page_text

_CHARSET = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_PAGES = ("text/html", "application/xhtml+xml")
_TEXTS = ("text/plain", "text/markdown")
_SHORT_NAMES = {
    "url": "warc-target-uri",
    "date": "warc-date",
    "id": "warc-record-id",
    "language": "warc-identified-content-language",
}


def read_warc(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per page or text; records of all types count from 1.

    Read are `response` records of HTTP status 200, `resource` records and, in WET files, `conversion` records; of
    those, what is no text is quarantined. Records of other types hold no documents and are passed over. As metadata,
    any header of the WARC record can be asked for by its name, and url, date, id and language by these.
    """
    for number, block in enumerate(read_blocks(stream, options.max_bytes), start=1):
        if isinstance(block, Unusable):
            if number == 1 and block.rule == "damaged_warc":
                yield Malformed(1, "not_what_its_name_says", str(block))
                return
            yield block.at(number)
        elif block.headers.get("warc-type") in ("response", "resource", "conversion"):
            yield _with_metadata(_record(number, block, options), block.headers, options)


def _record(number: int, block: Block | TooLongBlock, options: ReadOptions) -> Record:
    if isinstance(block, TooLongBlock):
        return too_large(number, block.size_bytes, options)
    kind, body = block.headers.get("content-type", ""), block.data[block.body_at :]
    try:
        if block.headers["warc-type"] == "conversion":
            return document_or_empty(number, decode_text(body))
        if block.headers["warc-type"] == "response" and kind.startswith("application/http"):  # and not of dns: or ftp:
            status, kind, body = _http_body(block, options)
            if status != 200:
                return Malformed(number, "http_status", f"HTTP status {status}", "", float(status or 0), 200.0)
        return _text(number, kind, body, options)
    except Unusable as problem:
        return Malformed(number, problem.rule, problem.detail, excerpt(body))


def _text(number: int, kind: str, body: bytes, options: ReadOptions) -> Record:
    if len(body) > options.max_bytes:
        return too_large(number, len(body), options, body)
    media_type = kind.partition(";")[0].strip().lower()
    charset = declared_encoding(kind.encode("utf-8", "replace"), _CHARSET)
    if media_type in _PAGES:
        return page_text(number, body, options, charset)
    if media_type in _TEXTS:
        return document_or_empty(number, decode_text(body, charset or options.encoding))
    return Malformed(number, "not_text", f"content of type {media_type or 'unknown'}")


def _http_body(block: Block, options: ReadOptions) -> tuple[int | None, str, bytes]:
    """Status, content type and decoded body of an HTTP response; Unusable when it is none.

    A body is taken as it is when it is not in the transfer or content encoding that its header names: many archives
    store it decoded.
    """
    from fastwarc.warc import ArchiveIterator

    problem = ""
    for decoding in ("all", "none"):
        try:
            record = next(ArchiveIterator(io.BytesIO(block.data), auto_decode=decoding, parse_http=True))
            if record.http_headers is None:
                break
            kind = record.http_headers.get("Content-Type") or ""
            return record.http_headers.status_code, kind, record.reader.read(options.max_bytes + 1)
        except (OSError, StopIteration, ValueError) as error:
            problem = str(error)
    raise Unusable("damaged_warc", f"no HTTP response: {problem or 'no HTTP headers'}")


def _with_metadata(record: Record, headers: dict[str, str], options: ReadOptions) -> Record:
    if isinstance(record, Malformed):
        url = headers.get("warc-target-uri")
        return record._replace(detail=f"{record.detail}; {url}") if url else record
    names = options.metadata_fields
    row = {name: headers.get(_SHORT_NAMES.get(name, name.lower())) for name in names}
    found = {name: value for name, value in row.items() if value is not None}
    return Document(record.position, record.text, metadata_of(found, names) if found else None)
