"""Which reader a file gets by the end of its name: the one place where suffixes, readers and compression meet."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from tasks.formats.arrow_table import read_arrow
from tasks.formats.compression import CODECS, Codec
from tasks.formats.csv_table import read_csv, read_tsv
from tasks.formats.docstrings import read_python
from tasks.formats.json_lines import read_json_lines
from tasks.formats.json_values import read_json
from tasks.formats.mail import read_mail, read_mailbox
from tasks.formats.parquet_table import read_parquet
from tasks.formats.plain_text import read_plain_text
from tasks.formats.records import Document, Malformed, ReadOptions, Records
from tasks.formats.tfrecord import read_tfrecord
from tasks.formats.web_archive import read_warc
from tasks.formats.web_page import read_web_page


class Reader(NamedTuple):
    """How one kind of file is read."""

    read: Callable[[Any, ReadOptions], Any]
    takes: Literal["bytes", "stream", "path"]
    """All of the file in memory, its bytes one after the other, or a file on disk to go to and fro in."""
    is_text: bool = False
    """Whether the file is text in one encoding, which is made UTF-8 first; others say it inside."""
    can_split: bool = False
    """Whether a file that is too large may be cut into several documents."""
    takes_gzip: bool = False
    """Whether it unpacks gzip by itself, as a damaged member shall cost no other."""

    def read_all(self, content: Any, options: ReadOptions) -> Iterator[Records]:
        """The records of a file, whether the reader makes one or several."""
        made = self.read(content, options)
        return iter((made,)) if isinstance(made, Document | Malformed) else made


class Format(NamedTuple):
    """What a name says of a file."""

    reader: Reader
    codec: Codec | None
    archive: Literal[".tar", ".zip"] | None
    is_known: bool
    """Whether the ending stands for one of the formats that are read by default."""

    @property
    def needs_seeking(self) -> bool:
        """Whether it is read here and there."""
        return self.archive == ".zip" or (self.archive is None and self.reader.takes == "path")


_PLAIN_TEXT = Reader(read_plain_text, "bytes", is_text=True, can_split=True)
_WEB_PAGE = Reader(read_web_page, "bytes")
_JSON_LINES = Reader(read_json_lines, "stream", is_text=True)
_PARQUET = Reader(read_parquet, "path")
_ARROW = Reader(read_arrow, "path")
_TFRECORD = Reader(read_tfrecord, "stream")
_WARC = Reader(read_warc, "stream", takes_gzip=True)
READERS = {
    ".txt": _PLAIN_TEXT,
    ".md": _PLAIN_TEXT,
    ".rst": _PLAIN_TEXT,
    ".html": _WEB_PAGE,
    ".htm": _WEB_PAGE,
    ".xhtml": _WEB_PAGE,
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".parquet": _PARQUET,
    ".pq": _PARQUET,
    ".json": Reader(read_json, "stream", is_text=True),
    ".csv": Reader(read_csv, "stream", is_text=True),
    ".tsv": Reader(read_tsv, "stream", is_text=True),
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
    ".tfrecord": _TFRECORD,
    ".tfrecords": _TFRECORD,
    ".warc": _WARC,
    ".wet": _WARC,
    ".mbox": Reader(read_mailbox, "stream"),
    ".eml": Reader(read_mail, "bytes"),
}
"""By the ending of the name, for the files that are read by default; params.survey.DEFAULT_INCLUDE lists the same."""
_ON_DEMAND = {".py": Reader(read_python, "bytes")}
ARCHIVES: tuple[Literal[".tar", ".zip"], ...] = (".tar", ".zip")
SHORT_ENDINGS = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".tbz": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}


def format_of(name: str) -> Format:
    """What a file is by its name; what no ending tells is plain text."""
    name = name.lower()
    for short, full in SHORT_ENDINGS.items():
        if name.endswith(short):
            name = name.removesuffix(short) + full
    ending = next((ending for ending in CODECS if name.endswith(ending)), "")
    name = name.removesuffix(ending)
    suffix = name[name.rfind(".") :] if "." in name else ""
    archive = next((archive for archive in ARCHIVES if archive == suffix), None)
    reader = READERS.get(suffix) or _ON_DEMAND.get(suffix) or _PLAIN_TEXT
    codec = None if ending == ".gz" and reader.takes_gzip else CODECS.get(ending)
    return Format(reader, codec, archive, suffix in READERS or archive is not None)
