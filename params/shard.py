"""How tokens are packed into blocks on disk, and how much of each source."""

from math import isfinite
from typing import Literal

from pydantic import Field, field_validator

from params.base import Params


class ShardParams(Params):
    """Token shards: Arrow IPC files of fixed-size blocks, read through a memory map."""

    context: int = Field(default=256, ge=8, le=1_048_576)
    """Tokens the model sees at once; a block holds one more, so that every position has its target."""
    blocks_per_shard: int = Field(default=16_384, ge=1)
    """Blocks per Arrow file."""
    packing: Literal["greedy", "best_fit"] = "greedy"
    """greedy cuts one stream of all documents, without padding; best_fit cuts only documents longer than a block."""
    mixture: dict[str, float] | None = None
    """Share of the training tokens by source, such as {books: 3, web: 1}; null takes every document once."""
    max_repeats: float = Field(default=4.0, gt=0, le=1_000)
    """Most times a mixture may go through a source; beyond four, repeated text gains ever less."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most training tokens, over all sources; null for as many as max_repeats allows."""
    shuffle_seed: int | None = Field(default=None, ge=0, lt=1 << 64)
    """Shuffle the training documents before packing, so that blocks do not hold neighbours; null keeps their order."""

    @field_validator("mixture")
    @classmethod
    def _weights_are_usable(cls, mixture: dict[str, float] | None) -> dict[str, float] | None:
        if mixture is None:
            return None
        for source, weight in mixture.items():
            if not (isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {source} is {weight}; it must be 0 or more")
        if not any(mixture.values()):
            raise ValueError("no source has a weight above 0; give one, or null to take every document once")
        return dict(sorted(mixture.items()))
