"""HTML: the main text of a page, without navigation and boilerplate."""

import re

from tasks.formats.charset import declared_encoding
from tasks.formats.plain_text import decode_text
from tasks.formats.records import Malformed, ReadOptions, Record, document_or_empty, excerpt

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_HEAD_BYTES = 4096


def read_web_page(data: bytes, options: ReadOptions) -> Record:
    """The page's main text as one document."""
    return page_text(0, data, options)


def page_text(position: int, data: bytes, options: ReadOptions, charset: str | None = None) -> Record:
    """The main text of a page; `charset`, of its HTTP header, goes before the one that the page declares.

    Unusable when the bytes are no text.
    """
    from resiliparse.extract.html2text import extract_plain_text

    declared = charset or declared_encoding(data[:_HEAD_BYTES], _CHARSET) or options.encoding
    record = document_or_empty(position, extract_plain_text(decode_text(data, declared), main_content=True))
    if isinstance(record, Malformed):
        return record._replace(detail="no main text in the page", text=excerpt(data))
    return record
