"""Raw files to documents; what is none is quarantined with file, position and reason."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from params.errors import SourceError
from params.ingest import IngestParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.files.places import Root, locate
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import MEGABYTE, ReadOptions
from tasks.formats.shard_sink import ShardSink
from tasks.stage import stage
from tasks.survey import FILES_NAME, SOURCES_NAME

log = logging.getLogger(__name__)

_PROGRESS = "progress"  # a file per finished group while the stage works; gone before the result is sealed


@dataclass(frozen=True)
class _RawFile:
    source: str
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class _Group:
    """Files that make one shard."""

    index: int
    files: tuple[_RawFile, ...]


@stage(version=4)
def ingest(params: IngestParams, files: Manifest, *, out: Path, run: Run) -> Metrics:
    """Read every surveyed file into shards of documents and of rejected records."""
    raw = [_RawFile(**json.loads(line)) for line in _lines(files.file(FILES_NAME))]
    options = _read_options(files.file(SOURCES_NAME), params)
    groups = list(_group(raw, int(params.shard_mb * MEGABYTE)))
    unit = partial(_ingest_group, params=params, options=options, out=out, roots=run.roots)
    counts = sum(run.map(unit, groups, name="ingest shard"), Counter[str]())
    shutil.rmtree(out / _PROGRESS)
    if not run.is_addition:
        _check_sources(list(options), counts)
    _say_encodings(list(options), counts)
    totals = _totals(counts, len(raw))
    return Metrics(
        counts=totals,
        headline=f"{totals['docs_in']:,} records -> {totals['docs_kept']:,} documents, "
        f"{totals['bytes_kept'] / 1e6:,.1f} MB of text",
        speed=(sum(file.size_bytes for file in raw) / 1e6, "MB"),
    )


def _ingest_group(
    group: _Group, *, params: IngestParams, options: dict[str, ReadOptions], out: Path, roots: dict[str, Root]
) -> Counter[str]:
    """Write the shards of a group; what it counted, by source."""
    done = out / _PROGRESS / f"{group.index}.json"
    if done.exists():
        return Counter(json.loads(done.read_text()))
    unpacking = Unpacking.within(params, out / _PROGRESS)
    readers = {source: FileReader(options[source], unpacking) for source in {file.source for file in group.files}}
    with ShardSink(out, group.index, int(params.shard_mb * MEGABYTE)) as sink:
        for file in group.files:
            place = locate(roots[file.source], file.path)
            for member, record in readers[file.source].read_many(place, file.sha256):
                sink.add(file.source, f"{file.path}!/{member}" if member else file.path, record)
                del record  # it may be large: the next one is made before its name is given anew
    counts = sink.counts
    for source, reader in readers.items():
        counts.update({f"{source}/{key}": count for key, count in reader.tally.items()})
    done.parent.mkdir(exist_ok=True)
    write_atomic(done, json.dumps(counts))
    return counts


def _group(files: list[_RawFile], shard_bytes: int) -> Iterator[_Group]:
    """Neighbours together, up to `shard_bytes`; a larger file is a group of its own."""
    index, size, members = 0, 0, list[_RawFile]()
    for file in files:
        if members and size + file.size_bytes > shard_bytes:
            yield _Group(index, tuple(members))
            index, size, members = index + 1, 0, []
        members.append(file)
        size += file.size_bytes
    yield _Group(index, tuple(members))


def _read_options(path: Path, params: IngestParams) -> dict[str, ReadOptions]:
    sources = [json.loads(line) for line in _lines(path)]
    max_bytes = int(params.max_document_mb * MEGABYTE)
    return {
        source["name"]: ReadOptions(
            text_field=source["text_field"],
            python=source["python"],
            max_bytes=max_bytes,
            metadata_fields=tuple(source["metadata_fields"]),
            encoding=source["encoding"],
            oversize=params.oversize,
        )
        for source in sources
    }


def _check_sources(sources: list[str], counts: Counter[str]) -> None:
    for source in sources:
        if counts[f"{source}/docs_kept"]:
            continue
        prefix = f"{source}/rejected."
        reasons = [f"{num} {key.removeprefix(prefix)}" for key, num in counts.items() if key.startswith(prefix)]
        raise SourceError(
            f"ingest: source {source!r} gave no document: all {counts[f'{source}/docs_in']} records were rejected "
            f"({', '.join(reasons)}); look at text_field and include of this source in survey.sources"
        )


def _say_encodings(sources: list[str], counts: Counter[str]) -> None:
    """A line for every source that is not all UTF-8, or whose archives hold what is not read."""
    for source in sources:
        prefix = f"{source}/encoding."
        found = {key.removeprefix(prefix): num for key, num in counts.items() if key.startswith(prefix)}
        if set(found) - {"utf-8"}:
            named = ", ".join(f"{num:,} {name}" for name, num in sorted(found.items()))
            log.info("ingest: source %s: files by encoding: %s", source, named)
        if skipped := counts[f"{source}/members_skipped"]:
            log.info("ingest: source %s: %s members of archives are of no format that is read", source, f"{skipped:,}")


def _totals(counts: Counter[str], num_files: int) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for key, count in counts.items():
        totals[key.partition("/")[2]] += count
    rejected = totals["docs_in"] - totals["docs_kept"]
    first = {"files": num_files, "docs_in": totals["docs_in"], "docs_kept": totals["docs_kept"]}
    others = {key: totals[key] for key in sorted(totals) if key.startswith(("rejected.", "encoding.", "members_"))}
    return {**first, "docs_rejected": rejected, "bytes_kept": totals["bytes_kept"], **others}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]  # splitlines would also cut at U+2028 in a file's name
