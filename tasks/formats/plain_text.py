"""Plain text, Markdown, reStructuredText, licences and e-mail-style METADATA: the file is the document."""

from tasks.formats.charset import decode
from tasks.formats.records import ReadOptions, Record, Unusable, document_or_empty


def read_plain_text(data: bytes, options: ReadOptions) -> Record:
    """The whole file as one document."""
    return document_or_empty(0, decode_text(data))


def decode_text(data: bytes, declared: str | None = None) -> str:
    """Text of a text file; a file with NUL bytes is none."""
    text = decode(data, declared)
    if "\0" in text:
        raise Unusable("not_what_its_name_says", f"a NUL at character {text.index(chr(0))}: this is not a text file")
    return text
