"""Indexes of duplicates on the command line: what status and inspect say of them, and which of them gc drops."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from flows.home import Home
from params.errors import ParameterError
from tasks.arrivals.ledger import ledgers
from tasks.artifacts.manifest import Manifest
from tasks.duplicates.chain import chain_names
from tasks.duplicates.overview import IndexOverview, overviews


def add_option(gc: argparse.ArgumentParser) -> None:
    """--drop-index NAME."""
    about = "also remove this index of dedup.index (gristmill status lists them); may be repeated"
    gc.add_argument("--drop-index", action="append", default=[], metavar="NAME", help=about)


def index_lines(home: Home) -> list[str]:
    """Every index of a home in a line."""
    models = {ledger.index: ledger.name for ledger in ledgers(home.store)}
    return [_line(found, models.get(found.name)) for found in overviews(home.store)]


def places_in_indexes(home: Home, result: Manifest) -> list[str]:
    """Of a result of dedup: which batch of which index it is, and whether the index stands on it."""
    if result.stage != "dedup":
        return []
    return [
        f"index {found.name}: batch {found.batches.index(result.fingerprint) + 1} of {len(found.batches)}, "
        + ("one of those that hold it" if result.fingerprint in found.segments else "merged into a later one")
        for found in overviews(home.store)
        if result.fingerprint in found.batches
    ]


def indexes_to_drop(store: Path, asked: Sequence[str]) -> list[str]:
    """Names of the indexes that were asked for, and of those whose ledgers have gone on to a new generation.

    Raises ParameterError for a name that is none, or that of an index which a ledger stands on.
    """
    there, held = chain_names(store), ledgers(store)
    for name in asked:
        if name not in there:
            raise ParameterError(f"--drop-index {name}: no such index; there is {', '.join(there) or 'none'}")
        for ledger in held:
            if name == ledger.index:
                raise ParameterError(
                    f"--drop-index {name}: the retraining of {ledger.name} compares new text with it, and without it "
                    "would learn again what it knows; it stays"
                )
    return sorted({*asked} | {name for ledger in held for name in ledger.past_indexes if name in there})


def _line(found: IndexOverview, model: str | None) -> str:
    batches = "1 batch" if len(found.batches) == 1 else f"{len(found.batches)} batches"
    line = f"{found.name}: {batches}, {found.num_texts:,} texts, {found.size_bytes / 1e6:,.1f} MB"
    line += f" in {len(found.segments)} result{'s' * (len(found.segments) != 1)} of dedup"
    line += f" (retraining of {model})" if model is not None else ""
    if found.gone:
        line += f"; of these {', '.join(found.gone)} gone: run the batches that made them again, or drop the index"
    return line
