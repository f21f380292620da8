"""What raw text there is: every file of every source, by its digest."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

from params.base import Params
from params.errors import SourceError
from params.survey import SourceParams, SurveyParams
from tasks.artifacts.digest import digest_entries, write_atomic
from tasks.artifacts.manifest import Metrics
from tasks.context import Run
from tasks.files.hashing import HashedFile, hash_files
from tasks.files.known_digests import KnownDigests
from tasks.files.listing import Listing, list_files
from tasks.files.places import Root
from tasks.stage import stage

log = logging.getLogger(__name__)

FILES_NAME = "files.jsonl"
"""Lines of {"source", "path", "size_bytes", "sha256"}, in the order of the sources, then of the paths."""
SOURCES_NAME = "sources.jsonl"
"""Lines of what _DESCRIPTION names: how each source is read, and under which licence."""
_DESCRIPTION = ("name", "python", "text_field", "metadata_fields", "encoding", "license")
_DIGESTS_NAME = "remote-digests.jsonl"


class SourceIdentity(Params):
    """What decides the documents of a source: how it is read and what its files hold, never where they lie."""

    name: str
    python: Literal["docstrings", "source"]
    text_field: str
    metadata_fields: tuple[str, ...]
    encoding: str | None
    license: str
    files: str
    """Digest of the relative paths, sizes and SHA-256 of its files."""


class SurveyIdentity(Params):
    """The sources by their contents, in order."""

    sources: tuple[SourceIdentity, ...]


# The files are digested to find the recipe; the work that follows in the same run shall not read them all again.
_digested: WeakKeyDictionary[Run, tuple[SurveyParams, list[list[HashedFile]]]] = WeakKeyDictionary()


def identity(params: SurveyParams, run: Run) -> SurveyIdentity:
    """What the sources hold now."""
    files = [_files_of(source, run) for source in params.sources]
    _digested[run] = (params, files)
    return SurveyIdentity(
        sources=tuple(
            SourceIdentity(
                **source.model_dump(include=set(_DESCRIPTION)),
                files=digest_entries((file.path, file.size_bytes, file.sha256) for file in found),
            )
            for source, found in zip(params.sources, files, strict=True)
        )
    )


@stage(version=2, identity=identity)
def survey(params: SurveyParams, *, out: Path, run: Run) -> Metrics:
    """List the files of each source with size and SHA-256."""
    known, files = _digested.pop(run, (None, []))
    if known != params:
        files = [_files_of(source, run) for source in params.sources]
    write_atomic(out / FILES_NAME, "".join(_file_lines(params, files)))
    write_atomic(out / SOURCES_NAME, "".join(map(source_line, params.sources)))
    counts = {"files": sum(map(len, files)), "bytes": sum(file.size_bytes for found in files for file in found)}
    for source, found in zip(params.sources, files, strict=True):
        counts[f"files.{source.name}"] = len(found)
        counts[f"bytes.{source.name}"] = sum(file.size_bytes for file in found)
    return Metrics(counts=counts, headline=f"{counts['files']:,} files, {counts['bytes'] / 1e6:,.1f} MB")


def _files_of(source: SourceParams, run: Run) -> list[HashedFile]:
    root = run.roots[source.name]
    if isinstance(root, Path) and not root.exists():
        raise SourceError(
            f"survey: source {source.name!r}: {root} does not exist; set survey.sources path to a file or a folder"
        )
    listing = list_files(root, source.include, source.exclude)
    if not listing.paths:
        raise SourceError(_nothing_found(source, root, listing))
    # Beside the compiled kernels of the home folder: it may be removed at any time.
    known = None if isinstance(root, Path) else KnownDigests(run.store.root.parent / "cache" / _DIGESTS_NAME)
    return hash_files(root, listing, run.workers, known)


def _nothing_found(source: SourceParams, root: Root, listing: Listing) -> str:
    seen = ", ".join(f"{count} {suffix or 'without ending'}" for suffix, count in listing.suffixes.most_common(8))
    without = f" without {', '.join(source.exclude)}" if source.exclude else ""
    links = f"; {listing.num_links} symbolic links are not followed, for they leave it" if listing.num_links else ""
    return (
        f"survey: source {source.name!r}: no file in {root} matches {', '.join(source.include)}{without}; "
        f"the folder holds {seen or 'no file at all'}{links}; set include to patterns such as **/*.txt"
    )


def _file_lines(params: SurveyParams, files: list[list[HashedFile]]) -> Iterator[str]:
    for source, found in zip(params.sources, files, strict=True):
        for file in found:
            yield json.dumps({"source": source.name, **asdict(file)}, ensure_ascii=False) + "\n"


def file_of(line: str) -> tuple[str, str]:
    """Source and path of a line about a file."""
    file = json.loads(line)
    return file["source"], file["path"]


def source_line(source: SourceParams) -> str:
    """What is told of a source, as a line of JSON."""
    fields = source.model_dump(mode="json", include=set(_DESCRIPTION))
    return json.dumps(fields, ensure_ascii=False) + "\n"
