"""Mail: mailboxes and single messages, of each its text as people read it, without attachments.

The subject is not part of the text; it can be asked for as metadata, as can any other header.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.charset import declared_encoding, decode
from tasks.formats.fields import read_text, to_json
from tasks.formats.line_batches import Pieces, TooLong
from tasks.formats.records import Document, Malformed, ReadOptions, Record, Unusable, excerpt, too_large
from tasks.formats.web_page import page_text

_SEPARATOR = re.compile(rb"\n\r?\n(From [^\n]{1,990}\n)")
_HELD_BYTES = 1024  # more than a separator and the blank line before it
_TIME, _YEAR = re.compile(rb"\d:\d\d"), re.compile(rb"\b(?:19|20)\d\d\b")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_CHARSET = re.compile(rb"\A([A-Za-z0-9_.:-]+)\Z")
_SEVEN_BIT = ("iso2022", "hz", "utf-7")  # their bytes are UTF-8 as well, so what is declared goes first


def read_mail(data: bytes, options: ReadOptions) -> Record:
    """A file that is one message."""
    return _read_message(0, data, options)


def read_mailbox(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per message of an mbox file (RFC 4155); messages count from 1.

    A message begins behind a blank line with "From " and a date. Lines of text that begin so were quoted by the writer
    with ">", which is taken away again.
    """
    number = 0
    try:
        for number, message in enumerate(_messages(stream, options.max_bytes), start=1):
            if isinstance(message, TooLong):
                yield too_large(number, message.size_bytes, options, message.beginning)
            else:
                yield _read_message(number, _QUOTED_FROM.sub(rb"\1", message), options)
    except Unusable as problem:
        yield problem.at(number + 1)


def _messages(stream: ByteStream, max_bytes: int) -> Iterator[bytes | TooLong]:
    """Messages without the lines that separate them."""
    first = stream.read(CHUNK_BYTES)
    if not first.strip():
        return
    buffer = b"\n\n" + first.lstrip()  # so that the first message, too, has a blank line before it
    if not (found := _SEPARATOR.match(buffer)) or not _has_date(found[1]):
        raise Unusable("not_what_its_name_says", 'a mailbox begins with a line "From SENDER DATE"', first)
    buffer = buffer[found.end() :]
    message = Pieces(max_bytes)
    try:
        while True:
            at = 0
            for found in _SEPARATOR.finditer(buffer):
                if _has_date(found[1]):
                    message.add(buffer[at : found.start() + 1])
                    yield message.end()
                    at = found.end()
            held_at = max(at, len(buffer) - _HELD_BYTES)
            message.add(buffer[at:held_at])
            buffer = buffer[held_at:]
            if not (chunk := stream.read(CHUNK_BYTES)):
                break
            buffer += chunk
    except Unusable as problem:
        raise Unusable(problem.rule, problem.detail, buffer) from None
    message.add(buffer)
    yield message.end()


def _has_date(line: bytes) -> bool:
    return _TIME.search(line) is not None and _YEAR.search(line) is not None


def _read_message(position: int, data: bytes, options: ReadOptions) -> Record:
    try:
        message = message_from_bytes(data)
        text = _text_of(message, options)
        metadata = _metadata_of(message, options.metadata_fields)
    except Unusable as problem:
        return Malformed(position, problem.rule, problem.detail, excerpt(data))
    except RecursionError:
        return Malformed(position, "malformed_mail", "parts are nested without end", excerpt(data))
    record = read_text(position, text, metadata, options)
    return record if isinstance(record, Document) else record._replace(text=excerpt(data))


def _text_of(part: Message, options: ReadOptions) -> str:
    """The text of a part; of alternatives the plain one, of several parts one after the other."""
    kind = part.get_content_type()
    if part.get_content_disposition() == "attachment" or part.get_filename() or kind == "message/rfc822":
        return ""
    if part.is_multipart():
        parts = [inner for inner in part.get_payload() if isinstance(inner, Message)]
        if kind == "multipart/alternative":
            parts.sort(key=lambda inner: inner.get_content_type() != "text/plain")
        texts = (text for inner in parts if not (text := _text_of(inner, options)).isspace() and text)
        return next(texts, "") if kind == "multipart/alternative" else "\n\n".join(texts)
    if kind not in ("text/plain", "text/html"):
        return ""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = declared_encoding((part.get_content_charset() or "").encode("utf-8", "replace"), _CHARSET)
    if charset and charset.startswith(_SEVEN_BIT):
        data = _decode_seven_bit(data, charset).encode()
    if kind == "text/html":
        record = page_text(0, data, options, charset)
        return record.text if isinstance(record, Document) else ""
    return decode(data, charset or options.encoding).replace("\r\n", "\n")


def _decode_seven_bit(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset)
    except UnicodeError as error:
        raise Unusable("not_utf8", f"a part says that it is {charset}, but: {error}") from None


def _metadata_of(message: Message, names: tuple[str, ...]) -> str | None:
    """Headers by their names, in which _ stands for -; the date as ISO 8601."""
    headers = {name: message.get(name.replace("_", "-")) for name in names}
    found = {name: _decoded(value) for name, value in headers.items() if value is not None}
    if "date" in found:
        found["date"] = _iso_date(found["date"])
    return to_json(found) if found else None


def _decoded(header: object) -> str:
    try:
        return " ".join(str(make_header(decode_header(str(header)))).split())
    except (MessageError, LookupError, ValueError):
        return str(header)


def _iso_date(date: str) -> str:
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError, OverflowError, IndexError):
        return date
