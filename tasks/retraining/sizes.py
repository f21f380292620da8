"""How much text each source has in some shards of documents."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tasks.documents.shards import read_batches


def sizes_by_source(shards: Iterable[Path]) -> dict[str, int]:
    """Bytes of text of each source, by name."""
    sizes: Counter[str] = Counter()
    for shard in shards:
        for batch in read_batches(shard, ("source", "text")):
            lengths = pc.binary_length(batch.column("text"))
            table = pa.table({"source": batch.column("source"), "bytes": lengths})
            for row in table.group_by("source").aggregate([("bytes", "sum")]).to_pylist():
                sizes[row["source"]] += row["bytes_sum"]
    return dict(sorted(sizes.items()))
