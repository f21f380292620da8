"""Documents without their duplicates: one of each cluster stays, the first in source order."""

import json
import logging
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from params.dedup import DedupParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.duplicates.descriptions import Descriptions
    from tasks.duplicates.examples import Catalogue
    from tasks.duplicates.separation import Duplicates
    from tasks.duplicates.verdicts import Verdicts

log = logging.getLogger(__name__)

_SCRATCH = "scratch"
"""Digests, sizes, signatures and band keys: 32 + 4 * bands * rows + 8 * bands bytes a document (592 by default),
removed before the seal: an index for later runs would hold the signatures of kept documents only."""


@stage(version=2)
def dedup(params: DedupParams, cleaned: Manifest, *, out: Path, run: Run) -> Metrics:
    """Keep the first document of every cluster of equal or similar texts in kept/; the others go to rejected/.

    Each rejected one names the survivor in `detail`; clusters.json shows the largest clusters. The outcome depends on
    the order of the documents alone, not on how they lie in shards.
    """
    from tasks.duplicates.descriptions import Descriptions, describe_shard
    from tasks.duplicates.examples import Catalogue, describe_clusters
    from tasks.duplicates.separation import separate_shard
    from tasks.duplicates.verdicts import find_survivors

    shards, scratch = cleaned.paths("kept/*.arrow"), out / _SCRATCH
    run.map(partial(describe_shard, params=params, folder=scratch), shards, name="describe shard")
    descriptions = Descriptions(scratch, shards)
    verdicts = find_survivors(descriptions, params, scratch)
    catalogue = Catalogue(shards, descriptions.starts)
    leaving = _leaving(shards, descriptions, verdicts, catalogue)
    run.map(partial(separate_shard, min_similarity=params.min_similarity, out=out), leaving, name="separate shard")
    report = describe_clusters(verdicts, catalogue)
    write_atomic(out / "clusters.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    shutil.rmtree(scratch)
    return _metrics(descriptions, verdicts)


def _leaving(
    shards: list[Path], descriptions: "Descriptions", verdicts: "Verdicts", catalogue: "Catalogue"
) -> list["Duplicates"]:
    """The duplicates of each shard."""
    import numpy as np

    from tasks.duplicates.separation import Duplicates

    leaves = ~verdicts.kept
    names = catalogue.names(np.unique(verdicts.survivors[leaves]))
    found = []
    for shard, start, stop in zip(shards, descriptions.starts[:-1], descriptions.starts[1:], strict=True):
        rows = np.flatnonzero(leaves[start:stop])
        numbers = rows + start
        survivors = [names[number] for number in verdicts.survivors[numbers].tolist()]
        found.append(Duplicates(shard, rows, verdicts.is_exact[numbers], verdicts.similarity[numbers], survivors))
    return found


def _metrics(descriptions: "Descriptions", verdicts: "Verdicts") -> Metrics:
    kept = verdicts.kept
    num_exact = int(verdicts.is_exact.sum())
    counts = {
        "docs_in": len(kept),
        "docs_kept": int(kept.sum()),
        "docs_rejected": int((~kept).sum()),
        "exact_duplicates": num_exact,
        "near_duplicates": int((~kept).sum()) - num_exact,
        "clusters": verdicts.num_clusters,
        "bytes_kept": int(descriptions.sizes[kept, 0].sum()),
    }
    return Metrics(
        counts=counts,
        headline=f"{counts['docs_in']:,} -> {counts['docs_kept']:,} documents, {counts['bytes_kept'] / 1e6:,.1f} MB "
        f"({num_exact:,} exact, {counts['near_duplicates']:,} near duplicates)",
        speed=(int(descriptions.sizes[:, 0].sum()) / 1e6, "MB"),
    )
