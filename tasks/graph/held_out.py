"""Held-out blocks on which graphs are checked and compared."""

from params.errors import ExportError
from tasks.artifacts.manifest import Manifest
from tasks.shards.blocks import Blocks, evenly


def held_out_blocks(shards: Manifest, limit: int) -> list[list[int]]:
    """At most `limit` blocks (context + 1 tokens each) of the test split, spread evenly.

    The very last block of the split may end in padding.
    """
    blocks = Blocks(shards.paths("test/*.arrow"))
    if not len(blocks):
        raise ExportError("the test split has no text to check the graph on; raise split.test or bring more text")
    taken: list[list[int]] = blocks[evenly(len(blocks), limit)].tolist()
    return taken
