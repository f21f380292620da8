"""Examples that a phase learns from: conversations, preferences, labelled texts, or pairs of texts."""

from typing import Literal

from pydantic import Field

from params.base import Params
from params.objective import Objective
from params.survey import PlaceParams

_COMPRESSED = "{,.gz,.bz2,.xz,.zst}"


class ExamplesParams(PlaceParams):
    """A file or a folder of examples: JSON lines, JSON or Parquet, a row for each."""

    include: tuple[str, ...] = ("**/*.{jsonl,ndjson,json}" + _COMPRESSED, "**/*.{parquet,pq}")
    """Glob patterns, relative to path, of the files to read."""


class EncodeParams(Params):
    """Examples to tokens, packed into blocks that keep them apart; what a phase sets is laid over the section."""

    sources: tuple[ExamplesParams, ...] = ()
    """Where the examples lie; needed by phases that learn from examples."""
    validation: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of the examples to evaluate the phase on, by a hash of what is asked: one question is on one side only."""
    salt: str = ""
    """Another salt makes another split."""
    too_long: Literal["reject", "truncate"] = "reject"
    """What becomes of an example longer than the context: set aside and counted, or cut at its end and counted."""
    max_example_mb: float = Field(default=4.0, gt=0)
    """Most megabytes of one row; a larger one is set aside."""
    blocks_per_shard: int = Field(default=16_384, ge=1)
    """Blocks per Arrow file."""
    context: int | None = Field(default=None, ge=8)
    """Positions of a block, at most those of shard.context; null for as many."""
    objective: Objective | None = None
    """What the examples teach: always what the phase learns, whatever is set here."""
