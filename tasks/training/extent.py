"""How much an objective has to learn from, without reading it."""

import json
from dataclasses import dataclass
from pathlib import Path

from params.objective import FROM_EXAMPLES, Objective
from tasks.shards.blocks import Blocks

TWO_SIDED: tuple[Objective, ...] = ("preference", "seq2seq")
"""Objectives whose examples have two texts each, in rows of their own."""


@dataclass(frozen=True)
class Extent:
    """The training blocks of a phase."""

    blocks: int
    context: int
    """Positions of a block."""


def extent_of(shards: Path, objective: Objective) -> Extent:
    """The extent of the training blocks in a folder that shard or encode left."""
    rows = Blocks(sorted((shards / "train").glob("*.arrow")))
    if objective not in FROM_EXAMPLES:
        return Extent(len(rows), rows.context)
    return Extent(len(rows) // (2 if objective in TWO_SIDED else 1), rows.context + 1)


def read_labels(shards: Path) -> list[str]:
    """The labels of texts that encode left, by their numbers."""
    labels: list[str] = json.loads((shards / "labels.json").read_text(encoding="utf-8"))
    return labels
