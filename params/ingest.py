"""How raw files become documents."""

from typing import Literal

from pydantic import Field

from params.base import Params


class IngestParams(Params):
    """Raw files to shards of documents."""

    shard_mb: float = Field(default=8.0, gt=0)
    """Megabytes of source files per shard of documents: the unit of parallel work and of memory."""
    max_document_mb: float = Field(default=16.0, gt=0)
    """A single document over this many megabytes is quarantined, or split if it is a text file."""
    oversize: Literal["quarantine", "split"] = "quarantine"
    """What becomes of a text file over max_document_mb: one rejected record, or pieces cut where a paragraph ends."""
    max_expansion: float | None = Field(default=200.0, gt=1)
    """Bytes that a byte of a compressed file or archive may become, once over 10 MB; more is taken for a bomb."""
    max_unpacked_gb: float | None = Field(default=100.0, gt=0)
    """Gigabytes that a compressed file or a member of an archive may become."""
    max_spool_gb: float = Field(default=10.0, gt=0)
    """Gigabytes on disk for a file that cannot be read front to back (parquet, arrow, zip) and is packed or remote."""
