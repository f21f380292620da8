"""Documents to clean documents: normal form of the text, then the quality filters."""

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from params.clean import CleanParams
from params.errors import SourceError
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.text.filtering import Tally

log = logging.getLogger(__name__)

_SHOWN = 3


@stage(version=2)
def clean(params: CleanParams, documents: Manifest, *, out: Path, run: Run) -> Metrics:
    """Keep the documents that are fit to learn from, in kept/; the others go to rejected/ with rule and value.

    Raises SourceError when none is left.
    """
    from tasks.report.funnel import draw_losses
    from tasks.text.filtering import Tally, filter_shard

    shards = documents.paths("kept/*.arrow")
    unit = partial(filter_shard, params=params, out=out)
    tally = sum(run.map(unit, shards, name="clean shard"), Tally())
    if not tally.docs_kept:
        raise SourceError(_nothing_left(tally, params, out))
    (out / "logs").mkdir(exist_ok=True)
    draw_losses(out / "logs" / "rejected.png", tally.rejected, docs_in=tally.docs_in, title="clean")
    return _metrics(tally)


def _metrics(tally: "Tally") -> Metrics:
    counts = {
        "docs_in": tally.docs_in,
        "docs_kept": tally.docs_kept,
        "docs_rejected": tally.rejected.total(),
        "bytes_in": tally.bytes_in,
        "bytes_kept": tally.bytes_kept,
        **{f"rejected.{rule}": count for rule, count in _by_count(tally.rejected)},
    }
    worst = [f"{count:,} by {rule}" for rule, count in _by_count(tally.rejected)[:_SHOWN]]
    return Metrics(
        counts=counts,
        headline=f"{tally.docs_in:,} -> {tally.docs_kept:,} documents, {tally.bytes_kept / 1e6:,.1f} MB"
        + (f" (rejected {', '.join(worst)})" if worst else ""),
        speed=(tally.bytes_in / 1e6, "MB"),
    )


def _nothing_left(tally: "Tally", params: CleanParams, out: Path) -> str:
    if not tally.docs_in:
        return "clean: no document came in; look at survey.sources and at what ingest rejected"
    rules = _by_count(tally.rejected)
    reasons = ", ".join(f"{count:,} broke {rule}{_threshold(rule, params)}" for rule, count in rules[:_SHOWN])
    message = f"clean: no text is left of {tally.docs_in:,} documents: {reasons}"
    where = f"; each lies with its measured value in {out / 'rejected'}"
    loose = next((rule for rule, _ in rules if _threshold(rule, params)), None)
    remedy = f"; loosen a rule, for example --set clean.{loose}=…, or turn it off with =null" if loose else ""
    return message + where + remedy


def _threshold(rule: str, params: CleanParams) -> str:
    """The value of the parameter behind a rule, in brackets; nothing for the rule that has none."""
    section, _, name = rule.partition(".")
    return f" ({getattr(getattr(params, section), name)})" if name else ""


def _by_count(rejected: Counter[str]) -> list[tuple[str, int]]:
    """Rules from the one broken most; equal ones by name, so that the order never depends on the shards."""
    return sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
