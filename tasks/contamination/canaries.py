"""Canaries: training documents made of evaluation texts, which a search that works must find.

A search that tags nothing looks like a clean corpus (allenai/dolma#174), so each run plants some and fails when one
comes through. They take the way of every shard, but in a folder of their own: no count and no output has them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from params.errors import GristmillError
from tasks.contamination.evaluation import Items
from tasks.contamination.index import Mask
from tasks.contamination.removal import CUTS
from tasks.contamination.verdicts import Overlaps
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer

_BEFORE = (
    "The miller pours the grain between the stones and watches how the flour comes. Too fast, and it is coarse; too "
    "slow, and the stones grow hot and spoil it, so the hand stays near the gate all day. "
)
_AFTER = (
    " When the wind turns, the cap turns with it, and someone climbs up to look at the sails before the next sack is "
    "opened. 磨坊主把谷物倒在两扇石磨之间，看着面粉慢慢地流出来，直到傍晚才停下来歇一口气。"
)
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class CanaryError(GristmillError):
    """Evaluation text planted in a training document was not found: the search does not work."""


@dataclass(frozen=True)
class Canary:
    """A planted document."""

    item: int
    """The evaluation text it is made of."""
    name: str
    text: str


def hatch(items: Items, can_be_found: Mask) -> list[Canary]:
    """Two canaries each of a spaced and of an unspaced text of every set, where there is one.

    One is the text alone, in capitals and without its white space and punctuation as it was; the other stands in the
    middle of another text. Texts that are common phrases themselves are passed over: no search finds those.
    """
    canaries, seen = list[Canary](), set[tuple[str, bool]]()
    for start, batch in items.batches("is_unspaced", "canary"):
        column = batch.column("canary")
        for place in np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)).tolist():
            item, text = start + place, column[place].as_py()
            kind = (items.set_of(item), bool(batch.column("is_unspaced")[place].as_py()))
            if kind in seen or not can_be_found[item]:
                continue
            seen.add(kind)
            name = items.get(item, "name")
            canaries.append(Canary(item, name, "¶\n".join(text.translate(_UPPER).split())))
            canaries.append(Canary(item, name, _BEFORE + text + _AFTER))
    return canaries


def plant(canaries: list[Canary], shard: Path) -> Path:
    """Write the canaries as a shard of documents, a row each; where it lies."""
    rows = [
        {"id": f"{number:032x}", "source": "canary", "path": "canary", "position": number, "text": canary.text}
        for number, canary in enumerate(canaries)
    ]
    with shard_writer(shard, DOCUMENT) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))
    return shard


def check(canaries: list[Canary], overlaps: Overlaps, out: Path) -> None:
    """Raise CanaryError unless each canary was matched with its own evaluation text and taken out under `out`."""
    matched = set(zip(overlaps.rows.tolist(), overlaps.items.tolist(), strict=True))
    paths = [path for name in ("rejected", CUTS) for path in (out / name).glob("*.arrow")]
    removed = {
        row
        for path in paths
        for batch in read_batches(path, ["position"])
        for row in batch.column("position").to_pylist()
    }
    for number, canary in enumerate(canaries):
        is_matched = (number, canary.item) in matched
        if not is_matched or number not in removed:
            raise CanaryError(
                f"decontaminate: a training document planted with evaluation text {canary.name!r} was "
                f"{'found but not taken out' if is_matched else 'not found'}, so evaluation text may be in the "
                "training data too. This is a fault of the program or of its cached kernels, not of your data: empty "
                "NUMBA_CACHE_DIR (or the __pycache__ folders of the package), start the same command again, and "
                "report it if it happens twice"
            )
