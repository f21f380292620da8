"""Training documents without the text that the model will be measured on."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from params.base import Params
from params.decontaminate import DecontaminateParams, EvaluationSetParams
from params.errors import SourceError
from tasks.artifacts.digest import digest_entries, write_atomic
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.contamination.linking import link_shard
from tasks.context import Run, root_of
from tasks.documents.shards import count_rows
from tasks.files.hashing import HashedFile, hash_files
from tasks.files.listing import list_files
from tasks.formats.records import MEGABYTE
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.contamination.evaluation import Items, Part
    from tasks.contamination.index import Index
    from tasks.contamination.ngrams import NgramSizes
    from tasks.contamination.removal import Removed, Remover
    from tasks.contamination.scanning import Scanner

log = logging.getLogger(__name__)

HELD_OUT = ("test", "validation")
"""The run's own evaluation sets, in order of priority."""
_SHOWN = 3
_MAX_BYTES = 64 * MEGABYTE
"""A longer evaluation text is reported as unreadable."""


class EvaluationSetIdentity(Params):
    """What decides the texts of a set: how it is read and what its files hold, never where they lie."""

    name: str
    text_fields: tuple[str, ...]
    files: str
    """Digest of the relative paths, sizes and SHA-256 of its files."""


class DecontaminateIdentity(Params):
    """The parameters, with the evaluation sets by their contents."""

    evaluation_sets: tuple[EvaluationSetIdentity, ...]
    settings: DecontaminateParams


# The files are digested to find the recipe; the work that follows in the same run shall not digest them again.
_digested: WeakKeyDictionary[Run, tuple[DecontaminateParams, list[list[HashedFile]]]] = WeakKeyDictionary()


def identity(params: DecontaminateParams, run: Run, *inputs: Manifest) -> DecontaminateIdentity:
    """What the evaluation sets hold now."""
    files = [_files_of(found, run) for found in params.evaluation_sets]
    _digested[run] = (params, files)
    sets = (
        EvaluationSetIdentity(
            name=found.name,
            text_fields=found.text_fields,
            files=digest_entries((file.path, file.size_bytes, file.sha256) for file in of_set),
        )
        for found, of_set in zip(params.evaluation_sets, files, strict=True)
    )
    return DecontaminateIdentity(
        evaluation_sets=tuple(sets), settings=params.model_copy(update={"evaluation_sets": ()})
    )


@stage(version=2, identity=identity)
def decontaminate(params: DecontaminateParams, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """Write train/ without documents (or passages) that overlap with evaluation texts; the other sides as they came.

    What leaves is in rejected/ and cuts/, each with the evaluation text it overlaps with; report.json has the figures
    of each set and affected.jsonl the evaluation texts that were found. Validation and test documents never leave, so
    that both stay what split made them; test documents that overlap with validation are told in the report.

    Raises SourceError when an evaluation set has no text to compare or no training document is left, CanaryError when
    a planted evaluation text was not found.
    """
    for side in HELD_OUT:
        _link(splits, side, out)
    parts = list(_parts(params, splits, run))
    if parts:
        scratch = scratch_folder(out)  # tables of evaluation texts and hits of each shard
        counts = _remove(params, parts, splits, out=out, scratch=scratch, run=run)
        shutil.rmtree(scratch)
    else:
        _link(splits, "train", out)
        counts = Counter(docs_in=sum(map(count_rows, splits.paths("train/*.arrow"))))
    return _metrics(splits, counts)


def _link(splits: Manifest, side: str, out: Path) -> None:
    """Pass a side on as it is."""
    for shard in splits.paths(f"{side}/*.arrow"):
        link_shard(shard, out / side / shard.name)


def _remove(
    params: DecontaminateParams, parts: list["Part"], splits: Manifest, *, out: Path, scratch: Path, run: Run
) -> Counter[str]:
    """Find and take out; what was counted among the training documents."""
    from tasks.contamination.index import build_index
    from tasks.contamination.ngrams import NgramSizes
    from tasks.contamination.removal import Remover
    from tasks.contamination.scanning import Scanner, document_frequencies
    from tasks.contamination.verdicts import Rules, rare_keys

    sizes = NgramSizes(params.ngram_words, params.ngram_characters, params.min_words, params.min_characters)
    items = _collect(parts, scratch, sizes, run)
    index = build_index(items)
    _check_sets(params, items, index)
    shards, scanner = splits.paths("train/*.arrow"), Scanner(index, sizes)
    hits = run.map(partial(scanner.scan, folder=scratch / "train"), shards, name="scan shard")
    is_rare = rare_keys(document_frequencies(hits, len(index.table.keys)), params.max_documents)
    remover = Remover(params, index, items, Rules(params.min_overlap, is_rare, range(len(items))))
    _send_canaries(remover, scanner, scratch / "canaries")
    removed = run.map(partial(remover.remove, hits=scratch / "train", out=out), shards, name="clear shard")
    tests = run.map(partial(scanner.scan, folder=scratch / "test"), splits.paths("test/*.arrow"), name="scan test")
    _write_report(remover, removed, tests, out)
    counts = Counter(docs_in=sum(part.sources.total() for part in removed))
    counts["passages_cut"] = sum(part.num_cuts for part in removed)
    for part in removed:
        for (_, rule), count in part.rejected.items():
            counts[f"rejected.{rule}"] += count
    return counts


def _collect(parts: list["Part"], scratch: Path, sizes: "NgramSizes", run: Run) -> "Items":
    """The evaluation texts with their n-grams."""
    from tasks.contamination.evaluation import Items, collect

    tables = [scratch / "evaluation" / f"{number:06d}.arrow" for number in range(len(parts))]

    def unit(number: int) -> None:
        collect(parts[number], tables[number], sizes=sizes, max_bytes=_MAX_BYTES)

    run.map(unit, range(len(parts)), name="read evaluation texts")
    return Items((part.set_name, table) for part, table in zip(parts, tables, strict=True))


def _send_canaries(remover: "Remover", scanner: "Scanner", folder: Path) -> None:
    """Let canaries go the way of a training shard, and see that none comes through."""
    from tasks.contamination.canaries import check, hatch, plant

    canaries = hatch(remover.items, remover.can_be_found())
    if canaries:
        shutil.rmtree(folder, ignore_errors=True)
        shard = plant(canaries, folder / "canaries.arrow")
        scanner.scan(shard, folder=folder / "hits")
        found = remover.remove(shard, hits=folder / "hits", out=folder / "out")
        check(canaries, found.overlaps, folder / "out")


def _write_report(remover: "Remover", removed: list["Removed"], tests: list[Path], out: Path) -> None:
    from tasks.contamination.summary import affected_lines, by_source, describe, examples, measured, overlapping_tests

    overlaps = [part.overlaps for part in removed]
    report = {
        "rules": measured(remover, removed),
        "by_source": by_source(removed),
        "sets": describe(remover, overlaps),
        "removed_examples": examples(out),
        "test_in_validation": overlapping_tests(remover, tests),
    }
    write_atomic(out / "report.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    write_atomic(out / "affected.jsonl", "".join(affected_lines(remover.items, overlaps)))


def _parts(params: DecontaminateParams, splits: Manifest, run: Run) -> Iterator["Part"]:
    """The evaluation texts by file and field, or by shard."""
    from tasks.contamination.evaluation import FilePart, HeldOutPart

    known, files = _digested.pop(run, (None, list[list[HashedFile]]()))
    if known != params:
        files = [_files_of(found, run) for found in params.evaluation_sets]
    for found, of_set in zip(params.evaluation_sets, files, strict=True):
        for file in of_set:
            for field in found.text_fields:
                yield FilePart(found.name, root_of(found.path), file, field)
    for side in HELD_OUT if params.held_out else ():
        for shard in splits.paths(f"{side}/*.arrow"):
            yield HeldOutPart(side, shard)


def _files_of(found: EvaluationSetParams, run: Run) -> list[HashedFile]:
    root = root_of(found.path)
    if isinstance(root, Path) and not root.exists():
        raise SourceError(
            f"decontaminate: evaluation set {found.name!r}: {root} does not exist; "
            "set decontaminate.evaluation_sets path to a file or a folder"
        )
    listing = list_files(root, found.include, ())
    if not listing.paths:
        raise SourceError(
            f"decontaminate: evaluation set {found.name!r}: no file in {root} matches {', '.join(found.include)}; "
            "set include to patterns such as **/*.jsonl"
        )
    return hash_files(root, listing, run.workers)


def _check_sets(params: DecontaminateParams, items: "Items", index: "Index") -> None:
    """A set of which nothing can be compared would look clean whatever training holds."""
    for found in params.evaluation_sets:
        numbers = items.items_of(found.name)
        unreadable = [number for number in numbers if index.is_unreadable[number]]
        first = ": ".join(items.get(unreadable[0], column) for column in ("name", "excerpt")) if unreadable else ""
        if not index.totals[numbers.start : numbers.stop].any():
            raise SourceError(
                f"decontaminate: evaluation set {found.name!r} has no text to compare: of {len(numbers)} records "
                f"{len(unreadable)} could not be read{f' ({first})' if first else ''} and the others are shorter than "
                f"min_words or min_characters; look at text_fields {', '.join(found.text_fields)} and at include"
            )
        if unreadable:
            log.warning("decontaminate: %s: %d records cannot be read: %s", found.name, len(unreadable), first)


def _metrics(splits: Manifest, counts: Counter[str]) -> Metrics:
    held_out = {f"{side}_docs": sum(map(count_rows, splits.paths(f"{side}/*.arrow"))) for side in HELD_OUT}
    rules = sorted((key for key in counts if key.startswith("rejected.")), key=lambda key: (-counts[key], key))
    num_rejected = sum(counts[rule] for rule in rules)
    num_kept = counts["docs_in"] - num_rejected
    if not num_kept:
        raise SourceError(_nothing_left(counts, rules))
    said = [f"{counts[rule]:,} by {rule.removeprefix('rejected.')}" for rule in rules]
    said += [f"{counts['passages_cut']:,} passages cut"] if counts["passages_cut"] else []
    return Metrics(
        counts={
            "docs_in": counts["docs_in"] + sum(held_out.values()),
            "docs_kept": num_kept + sum(held_out.values()),
            "docs_rejected": num_rejected,
            "train_docs": num_kept,
            **held_out,
            "passages_cut": counts["passages_cut"],
            **{rule: counts[rule] for rule in rules},
        },
        headline=f"{counts['docs_in']:,} -> {num_kept:,} training documents"
        + (f" ({', '.join(said[:_SHOWN])})" if said else ""),
        speed=(counts["docs_in"], "documents"),
    )


def _nothing_left(counts: Counter[str], rules: list[str]) -> str:
    reasons = ", ".join(f"{counts[rule]:,} broke {rule.removeprefix('rejected.')}" for rule in rules)
    return (
        f"decontaminate: no training document is left of {counts['docs_in']:,}: {reasons}; raise "
        "--set decontaminate.min_overlap=…, take passages out with --set decontaminate.action=span, or leave out a set"
    )
