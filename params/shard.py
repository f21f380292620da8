"""How tokens are packed into blocks on disk."""

from pydantic import Field

from params.base import Params


class ShardParams(Params):
    """Token shards: Arrow IPC files of fixed-size blocks, read through a memory map."""

    context: int = Field(default=256, ge=8, le=1_048_576)
    """Tokens the model sees at once; a block holds one more, so that every position has its target."""
    blocks_per_shard: int = Field(default=16_384, ge=1)
    """Blocks per Arrow file."""
