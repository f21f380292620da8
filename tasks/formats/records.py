"""What a reader makes of a file: documents, records that are none, and the reason a file cannot be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from tasks.text.buffers import Texts

_EXCERPT_BYTES = 1 << 16
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class ReadOptions:
    """How the files of a source are read."""

    text_field: str = "text"
    """Column or key of the text."""
    python: Literal["docstrings", "source"] = "docstrings"
    """What a .py file contributes."""
    max_bytes: int = 16 * MEGABYTE
    """A larger document is quarantined or split, and never wholly in memory."""
    metadata_fields: tuple[str, ...] = ()
    """Columns or keys that are kept as metadata."""
    encoding: str | None = None
    """The encoding of text that has no byte order mark; None to detect it."""
    oversize: Literal["quarantine", "split"] = "quarantine"
    """What becomes of a text file over max_bytes."""


class Document(NamedTuple):
    """A text and where it stood."""

    position: int
    """Line, row or piece from 1; 0 for a whole file."""
    text: str
    metadata: str | None = None
    """The wanted fields of its record as a JSON object."""


class Malformed(NamedTuple):
    """A record that is no document."""

    position: int
    rule: str
    detail: str
    text: str = ""
    """The record itself as far as it can be shown, at most 64 KiB of it."""
    value: float | None = None
    threshold: float | None = None


class Documents(NamedTuple):
    """Documents without metadata that follow each other, for readers that make many at once."""

    position: int
    """Of the first; each of the others is one further."""
    texts: Texts

    def each(self) -> Iterator[Document]:
        """One by one."""
        data = self.texts.data.tobytes()
        for place, (start, stop) in enumerate(pairwise(self.texts.offsets.tolist())):
            yield Document(self.position + place, data[start:stop].decode())


Record = Document | Malformed
Records = Record | Documents


class Unusable(Exception):  # noqa: N818 (a reader's verdict on a file, caught where the record is written)
    """The rest of a file cannot be read, for the reason that `rule` names."""

    def __init__(self, rule: str, detail: str, data: bytes = b"") -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.data = data

    def at(self, position: int) -> Malformed:
        """The quarantined record at a position."""
        return Malformed(position, self.rule, self.detail, excerpt(self.data))


def excerpt(data: bytes) -> str:
    """The beginning of raw bytes as text that can be stored, whatever they are."""
    return data[:_EXCERPT_BYTES].decode("utf-8", "replace")


def document_or_empty(position: int, text: str) -> Record:
    """A document, unless nothing but blanks is in it."""
    if text and not text.isspace():
        return Document(position, text)
    return Malformed(position, "empty", "nothing but blanks", text[:_EXCERPT_BYTES])


def too_large(position: int, size_bytes: int, options: ReadOptions, data: bytes = b"") -> Malformed:
    """A record over the limit, with its size when it is known whole."""
    size_mb, limit_mb = size_bytes / MEGABYTE, options.max_bytes / MEGABYTE
    detail = f"at least {size_mb:.1f} MB; raise ingest.max_document_mb to take it"
    return Malformed(position, "too_large", detail, excerpt(data), size_mb, limit_mb)
