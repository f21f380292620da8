"""Documents without their duplicates: of every cluster one stays."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from params.dedup import DedupParams, RepeatedPassageParams
from params.errors import StoreError
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.duplicates.chain import (
    Chain,
    check_replay,
    extending,
    link_of,
    read_chain,
    save_chain,
    segment_results,
)
from tasks.duplicates.segment_files import INDEX_FOLDER, SEGMENTS_NAME
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.duplicates.descriptions import Descriptions
    from tasks.duplicates.examples import Catalogue
    from tasks.duplicates.growth import Addition
    from tasks.duplicates.index import Index
    from tasks.duplicates.repeats import Repeated
    from tasks.duplicates.separation import Separated
    from tasks.duplicates.verdicts import ShardVerdicts, Verdicts

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


def extend_index(params: DedupParams, cleaned: Manifest, unique: Manifest, *, run: Run) -> None:
    """Let the index that the parameters name stand on a sealed result of dedup, unless it does already."""
    if params.index is None:
        return
    with extending(run.store.root, params) as chain:
        if any(link.documents == cleaned.digest for link in chain.links):
            return
        if unique.params["index"] != chain.state:
            raise StoreError(
                f"dedup: another run added to index {params.index!r} while this one compared its documents with "
                f"{unique.params['index']}; start it again: they are then compared with what was added, too"
            )
        unique.folder_with(f"{INDEX_FOLDER}/**")  # the chain is read from this machine's disk alone
        link = link_of(params, documents=cleaned.digest, fingerprint=unique.fingerprint, digest=unique.digest)
        save_chain(run.store.root, chain.model_copy(update={"links": (*chain.links, link)}))


@stage(version=4, identity=identity, after=extend_index)
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
    from tasks.duplicates.separation import Separated, separate_shard
    from tasks.duplicates.verdicts import find_survivors

    # Digests, sizes, signatures and band keys: 40 + 4 * bands * rows + 8 * bands bytes a document (600 by default).
    scratch = scratch_folder(out)
    shards = cleaned.paths("kept/*.arrow")
    run.map(partial(describe_shard, params=params, folder=scratch), shards, name="describe shard")
    descriptions = Descriptions(scratch, shards)
    index = _open_index(params, cleaned, run)
    order = order_of(shards, descriptions.sizes[:, 0], params)
    verdicts = find_survivors(descriptions, order, index, params, scratch=scratch, workers=run.workers)
    catalogue = Catalogue(shards, descriptions.starts)
    _write_survivor_names(scratch, verdicts, catalogue, index)
    names = Names(scratch)
    judged = list(verdicts.of_shards(shards, descriptions.starts))
    repeated = _find_repeated(judged, params.repeated_passages, scratch, run)
    unit = partial(separate_shard, names=names, repeated=repeated, params=params, out=out, scratch=scratch)
    with ThreadPoolExecutor(1) as beside:
        report = beside.submit(describe_clusters, verdicts, catalogue, names)
        separated = sum(run.map(unit, judged, name="separate shard"), Separated())
    if repeated is not None:
        _write_passages(out / "passages.json", repeated, separated)
    write_atomic(out / "clusters.json", json.dumps(report.result(), ensure_ascii=False, indent=1) + "\n")
    if params.index is not None:
        _write_index(Addition(descriptions, verdicts, index), catalogue, params, out / INDEX_FOLDER)
    shutil.rmtree(scratch)
    return _metrics(descriptions, verdicts, separated.counts)


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
    last = run.store.find(dedup.name, base.links[-1].fingerprint)
    results = segment_results(last.folder_with(f"{INDEX_FOLDER}/**")) if last else [base.links[-1].fingerprint]
    folders: list[Path] = []
    for fingerprint in results:
        found = run.store.find(dedup.name, fingerprint)
        if found is None or not run.store.is_complete(found) or not run.store.hold(found):
            raise StoreError(
                f"dedup.index {params.index!r}: {run.store.folder(dedup.name, fingerprint)}, which it stands on, is "
                "gone or damaged; run the batch that made it once more, or name a new index"
            )
        folders.append(found.folder_with(f"{INDEX_FOLDER}/**") / INDEX_FOLDER)
    return Index(folders, size)


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


def _find_repeated(
    judged: list["ShardVerdicts"], params: RepeatedPassageParams | None, scratch: Path, run: Run
) -> "Repeated | None":
    """The passages that many survivors share."""
    from tasks.duplicates.repeats import find_repeated, list_passages

    if params is None:
        return None
    unit = partial(list_passages, params=params, folder=scratch)
    return find_repeated(run.map(unit, judged, name="list passages"), params.min_documents)


def _write_passages(path: Path, repeated: "Repeated", separated: "Separated") -> None:
    """The most frequent of the repeated passages."""
    shown = [
        {"documents": int(repeated.counts[number]), "text": separated.examples[number]}
        for number in repeated.most_frequent.tolist()
    ]
    report = {"passages": len(repeated.hashes), "most_frequent": shown}
    write_atomic(path, json.dumps(report, ensure_ascii=False, indent=1) + "\n")


def _metrics(descriptions: "Descriptions", verdicts: "Verdicts", separated: Counter[str]) -> Metrics:
    from tasks.duplicates.cutting import REMAINDER, REPEATED

    num_in, num_exact = len(verdicts.kept), int(verdicts.is_exact.sum())
    num_near = int((~verdicts.kept).sum()) - num_exact
    in_index = int((verdicts.survivors >= num_in).sum())
    counts = {
        "docs_in": num_in,
        "docs_kept": separated["docs_kept"],
        "docs_rejected": num_in - separated["docs_kept"],
        "exact_duplicates": num_exact,
        "near_duplicates": num_near,
        "known_duplicates": in_index,
        "clusters": verdicts.num_clusters,
        "bytes_kept": separated["bytes_kept"],
    }
    repeats = {key: separated[key] for key in (REPEATED, REMAINDER, "docs_cut", "bytes_cut") if separated[key]}
    known = f", {in_index:,} of them known to the index" if in_index else ""
    cut = f"; passages cut from {separated['docs_cut']:,}" if separated["docs_cut"] else ""
    return Metrics(
        counts=counts | repeats,
        headline=f"{num_in:,} -> {counts['docs_kept']:,} documents, {counts['bytes_kept'] / 1e6:,.1f} MB "
        f"({num_exact:,} exact, {num_near:,} near duplicates{known}{cut})",
        speed=(int(descriptions.sizes[:, 0].sum()) / 1e6, "MB"),
    )
