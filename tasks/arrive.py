"""A batch of files that arrived together, as ingest reads it."""

import json
from pathlib import Path

from params.base import Params
from params.survey import SurveyParams
from tasks.artifacts.digest import digest_file, write_atomic
from tasks.artifacts.manifest import Metrics
from tasks.context import Run
from tasks.stage import stage
from tasks.survey import FILES_NAME, SOURCES_NAME, source_line


class ArriveParams(Params):
    """Files by the listing that the ledger wrote."""

    survey: SurveyParams
    """How each source is read."""
    listing: str
    """Path of the listing; in a recipe its SHA-256."""


class ArriveIdentity(Params):
    """What decides the bytes: never where files or listing lie."""

    sources: tuple[str, ...]
    listing: str


def identity(params: ArriveParams, _run: Run) -> ArriveIdentity:
    """The contents of the listing, and of the sources what survey tells of them."""
    return ArriveIdentity(sources=_sources(params), listing=digest_file(Path(params.listing)))


@stage(version=1, identity=identity)
def arrive(params: ArriveParams, *, out: Path, run: Run) -> Metrics:
    """The files of the batch with size and SHA-256, and the sources that they are of."""
    lines = Path(params.listing).read_text(encoding="utf-8")
    write_atomic(out / FILES_NAME, lines)
    write_atomic(out / SOURCES_NAME, "".join(_sources(params)))
    files = [json.loads(line) for line in lines.split("\n")[:-1]]
    counts = {"files": len(files), "bytes": sum(file["size_bytes"] for file in files)}
    return Metrics(counts=counts, headline=f"{counts['files']:,} new files, {counts['bytes'] / 1e6:,.1f} MB")


def _sources(params: ArriveParams) -> tuple[str, ...]:
    """Lines of the sources that have a file in the batch, in their order."""
    lines = Path(params.listing).read_text(encoding="utf-8").split("\n")[:-1]
    named = {json.loads(line)["source"] for line in lines}
    return tuple(source_line(source) for source in params.survey.sources if source.name in named)
