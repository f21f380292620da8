"""How raw files become documents."""

from pydantic import Field

from params.base import Params


class IngestParams(Params):
    """Raw files to shards of documents."""

    shard_mb: float = Field(default=8.0, gt=0)
    """Megabytes of source files per shard of documents: the unit of parallel work and of memory."""
    max_document_mb: float = Field(default=64.0, gt=0)
    """A single document over this many megabytes is quarantined."""
