"""Documents to clean documents: normal form, language, quality filters, and no personal data."""

import json
import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from params.clean import CleanParams
from params.errors import SourceError
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.text.tally import Tally

log = logging.getLogger(__name__)

REPORT_NAME = "report.json"
"""{"rules": [RuleReport, …], "by_source": {name: SourceTally}, "removed": {rule: {"lines", "bytes"}},
"personal_data": {kind: found in kept documents}}."""
BY_SOURCE = "logs/by_source.jsonl"
"""Rows of {"source", "rule", "documents", "share"}: what each source kept and lost."""
_SHOWN = 3


@stage(version=4, volatile=("logs/*", REPORT_NAME, "tally/*"))
def clean(params: CleanParams, documents: Manifest, *, out: Path, run: Run) -> Metrics:
    """Keep the documents that are fit to learn from, in kept/; the others go to rejected/ with rule and value.

    Raises SourceError when none is left.
    """
    from tasks.text.filtering import filter_shard
    from tasks.text.tally import Tally

    shards = documents.paths("kept/*.arrow")
    unit = partial(filter_shard, params=params, out=out)
    tally = sum(run.map(unit, shards, name="clean shard"), Tally())
    if not tally.whole.docs_kept and not run.is_addition:
        raise SourceError(_nothing_left(tally, params, out))
    _write_report(tally, params, out)
    return _metrics(tally)


def _write_report(tally: "Tally", params: CleanParams, out: Path) -> None:
    from tasks.report.filters import draw_histograms, table_rows
    from tasks.report.funnel import draw_losses
    from tasks.text.reporting import rule_reports

    rules = rule_reports(params, tally)
    by_source = {source: vars(found) for source, found in sorted(tally.by_source.items())}
    removed = {
        rule: {"lines": tally.removed_lines[rule], "bytes": tally.removed_bytes[rule]} for rule in tally.removed_bytes
    }
    report = {
        "rules": [vars(rule) for rule in rules],
        "by_source": by_source,
        "removed": removed,
        "personal_data": tally.personal_data,
    }
    write_atomic(out / REPORT_NAME, json.dumps(report, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    draw_losses(logs / "rejected.png", tally.whole.rejected, docs_in=tally.whole.docs_in, title="clean")
    draw_histograms(logs / "measured.png", rules)
    lines = (json.dumps(row, ensure_ascii=False) for row in table_rows(by_source))
    write_atomic(out / BY_SOURCE, "".join(f"{line}\n" for line in lines))


def _metrics(tally: "Tally") -> Metrics:
    whole = tally.whole
    counts = {
        "docs_in": whole.docs_in,
        "docs_kept": whole.docs_kept,
        "docs_rejected": whole.rejected.total(),
        "bytes_in": whole.bytes_in,
        "bytes_kept": whole.bytes_kept,
        "bytes_rejected": whole.bytes_rejected,
        "bytes_removed": tally.removed_bytes.total(),
        **{f"rejected.{rule}": count for rule, count in _by_count(whole.rejected)},
        **{f"personal_data.{kind}": count for kind, count in _by_count(tally.personal_data)},
        **{f"removed_lines.{rule}": count for rule, count in _by_count(+tally.removed_lines)},
    }
    worst = [f"{count:,} by {rule}" for rule, count in _by_count(whole.rejected)[:_SHOWN]]
    return Metrics(
        counts=counts,
        headline=f"{whole.docs_in:,} -> {whole.docs_kept:,} documents, {whole.bytes_kept / 1e6:,.1f} MB"
        + (f" (rejected {', '.join(worst)})" if worst else ""),
        speed=(whole.bytes_in / 1e6, "MB"),
    )


def _nothing_left(tally: "Tally", params: CleanParams, out: Path) -> str:
    from tasks.text.reporting import rule_reports

    whole = tally.whole
    if not whole.docs_in:
        return "clean: no document came in; look at survey.sources and at what ingest rejected"
    thresholds = {rule.name: rule.threshold for rule in rule_reports(params, tally) if "." in rule.name}
    rules = _by_count(whole.rejected)
    reasons = ", ".join(
        f"{count:,} broke {rule}" + (f" ({thresholds[rule]:g})" if rule in thresholds else "")
        for rule, count in rules[:_SHOWN]
    )
    message = f"clean: no text is left of {whole.docs_in:,} documents: {reasons}"
    where = f"; each lies with its measured value in {out / 'rejected'}"
    loose = next((rule for rule, _ in rules if rule in thresholds), None)
    remedy = f"; loosen a rule, for example --set clean.{loose}=…, or turn it off with =null" if loose else ""
    return message + where + remedy


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    """Rules from the one broken most; equal ones by name, so that the order never depends on the shards."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
