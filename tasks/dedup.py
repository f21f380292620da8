"""Documents without their duplicates: of every cluster one stays."""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from params.dedup import DedupParams
from params.errors import StoreError
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.duplicates.chain import (
    INDEX_FOLDER,
    SEGMENTS_NAME,
    Chain,
    check_replay,
    extending,
    link_of,
    read_chain,
    save_chain,
    segment_results,
)
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.duplicates.descriptions import Descriptions
    from tasks.duplicates.examples import Catalogue
    from tasks.duplicates.growth import Addition
    from tasks.duplicates.index import Index
    from tasks.duplicates.separation import Duplicates
    from tasks.duplicates.verdicts import Verdicts

_SCRATCH = "scratch"
"""Digests, sizes, signatures and band keys: 40 + 4 * bands * rows + 8 * bands bytes a document (600 by default),
removed before the seal."""

# The recipe says what the documents are compared with, and the work that follows has to compare them with just that.
_bases: WeakKeyDictionary[Run, Chain] = WeakKeyDictionary()


def identity(params: DedupParams, run: Run, cleaned: Manifest) -> DedupParams:
    """The parameters, with what the index holds in the place of its name."""
    if params.index is None:
        return params
    chain = read_chain(run.store.root, params)
    check_replay(chain, params, cleaned.digest)
    base = _bases[run] = chain.up_to(cleaned.digest)
    return params.model_copy(update={"index": base.state})


@stage(version=3, identity=identity)
def dedup(params: DedupParams, cleaned: Manifest, *, out: Path, run: Run) -> Metrics:
    """Keep one document of every cluster of equal or similar texts in kept/; the others go to rejected/.

    Each rejected one names the survivor in `detail`; clusters.json shows the largest clusters. The outcome depends on
    the documents and, where an index is named, on what it holds; not on how documents lie in shards. With an index,
    index/ has what this run saw first, for later ones.
    """
    from tasks.duplicates.descriptions import Descriptions, describe_shard
    from tasks.duplicates.examples import Catalogue, describe_clusters
    from tasks.duplicates.growth import Addition
    from tasks.duplicates.names import Names
    from tasks.duplicates.ranking import order_of
    from tasks.duplicates.separation import separate_shard
    from tasks.duplicates.verdicts import find_survivors

    shards, scratch = cleaned.paths("kept/*.arrow"), out / _SCRATCH
    run.map(partial(describe_shard, params=params, folder=scratch), shards, name="describe shard")
    descriptions = Descriptions(scratch, shards)
    index = _open_index(params, cleaned, run)
    order = order_of(shards, descriptions.sizes[:, 0], params)
    verdicts = find_survivors(descriptions, order, index, params, scratch)
    catalogue = Catalogue(shards, descriptions.starts)
    _write_survivor_names(scratch, verdicts, catalogue, index)
    names = Names(scratch)
    unit = partial(separate_shard, names=names, min_similarity=params.min_similarity, out=out)
    run.map(unit, list(_leaving(shards, descriptions, verdicts)), name="separate shard")
    report = describe_clusters(verdicts, catalogue, names)
    write_atomic(out / "clusters.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if params.index is not None:
        _write_index(Addition(descriptions, verdicts, index), catalogue, params, out / INDEX_FOLDER)
    shutil.rmtree(scratch)
    return _metrics(descriptions, verdicts)


def extend_index(params: DedupParams, cleaned: Manifest, unique: Manifest, *, run: Run) -> None:
    """Let the index that the parameters name stand on a sealed result of dedup, unless it does already."""
    if params.index is None or run.plan is not None:
        return
    with extending(run.store.root, params) as chain:
        if any(link.documents == cleaned.digest for link in chain.links):
            return
        if unique.params["index"] != chain.state:
            raise StoreError(
                f"dedup: another run added to index {params.index!r} while this one compared its documents with "
                f"{unique.params['index']}; start it again: they are then compared with what was added, too"
            )
        link = link_of(params, documents=cleaned.digest, fingerprint=unique.fingerprint, digest=unique.digest)
        save_chain(run.store.root, chain.model_copy(update={"links": (*chain.links, link)}))


def _open_index(params: DedupParams, cleaned: Manifest, run: Run) -> "Index":
    """What the documents are compared with; nobody removes it as long as this run lives."""
    from tasks.duplicates.index import Index

    size = params.bands * params.rows if params.near else 0
    if params.index is None:
        return Index([], size)
    base = _bases.get(run)
    if base is None or base.name != params.index:
        base = read_chain(run.store.root, params).up_to(cleaned.digest)
    if not base.links:
        return Index([], size)
    results = segment_results(run.store.folder(dedup.name, base.links[-1].fingerprint))
    for fingerprint in results:
        found = run.store.find(dedup.name, fingerprint)
        if found is None or not run.store.is_complete(found) or not run.store.hold(found):
            raise StoreError(
                f"dedup.index {params.index!r}: {run.store.folder(dedup.name, fingerprint)}, which it stands on, is "
                "gone or damaged; run the batch that made it once more, or name a new index"
            )
    return Index([run.store.folder(dedup.name, fingerprint) / INDEX_FOLDER for fingerprint in results], size)


def _write_index(addition: "Addition", catalogue: "Catalogue", params: DedupParams, folder: Path) -> None:
    """The new segment, and by which results the older ones lie."""
    import numpy as np

    from tasks.duplicates.growth import write_segment

    numbers = addition.numbers
    kept = np.flatnonzero(addition.verdicts.kept & (numbers >= 0))
    names = ((int(numbers[number]), name) for number, name in catalogue.names(kept))
    older = write_segment(addition, names, params, folder)
    results = [*(segment.folder.parent.name for segment in older), None]
    write_atomic(folder / SEGMENTS_NAME, json.dumps(results) + "\n")


def _write_survivor_names(scratch: Path, verdicts: "Verdicts", catalogue: "Catalogue", index: "Index") -> None:
    import numpy as np

    from tasks.duplicates.names import write_names

    def names() -> Iterator[tuple[int, str]]:
        survivors = np.unique(verdicts.survivors[~verdicts.kept])
        total = len(verdicts.survivors)
        yield from catalogue.names(survivors[survivors < total])
        old = survivors[survivors >= total]
        yield from zip(old.tolist(), index.names(old - total), strict=True)

    write_names(scratch, names())


def _leaving(shards: list[Path], descriptions: "Descriptions", verdicts: "Verdicts") -> Iterator["Duplicates"]:
    """The duplicates of each shard."""
    import numpy as np

    from tasks.duplicates.separation import Duplicates

    leaves = ~verdicts.kept
    for shard, (start, stop) in zip(shards, pairwise(descriptions.starts.tolist()), strict=True):
        rows = np.flatnonzero(leaves[start:stop])
        at = rows + start
        yield Duplicates(shard, rows, verdicts.is_exact[at], verdicts.similarity[at], verdicts.survivors[at])


def _metrics(descriptions: "Descriptions", verdicts: "Verdicts") -> Metrics:
    kept = verdicts.kept
    num_exact = int(verdicts.is_exact.sum())
    in_index = int((verdicts.survivors >= len(kept)).sum())
    counts = {
        "docs_in": len(kept),
        "docs_kept": int(kept.sum()),
        "docs_rejected": int((~kept).sum()),
        "exact_duplicates": num_exact,
        "near_duplicates": int((~kept).sum()) - num_exact,
        "known_duplicates": in_index,
        "clusters": verdicts.num_clusters,
        "bytes_kept": int(descriptions.sizes[kept, 0].sum()),
    }
    known = f", {in_index:,} of them known to the index" if in_index else ""
    return Metrics(
        counts=counts,
        headline=f"{counts['docs_in']:,} -> {counts['docs_kept']:,} documents, {counts['bytes_kept'] / 1e6:,.1f} MB "
        f"({num_exact:,} exact, {counts['near_duplicates']:,} near duplicates{known})",
        speed=(int(descriptions.sizes[:, 0].sum()) / 1e6, "MB"),
    )
