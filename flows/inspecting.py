"""gristmill inspect and why: look at what a stage kept and dropped, and follow one document."""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from math import inf
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.console import make_console, printable, shortened
from flows.home import Home, locate_home
from flows.housekeeping import find_run
from flows.indexes import places_in_indexes
from params.errors import ParameterError
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.documents.shards import count_rows
from tasks.inspection.histograms import bars, occupied
from tasks.inspection.journey import Place, Step, find_places, follow, holds_documents
from tasks.inspection.sampling import Row, Sample, sample_documents
from tasks.shard import SPLITS
from tasks.shards.places import documents_in, places_of, rows_of
from tasks.stage import headline

_EXCERPT = 240
_PLACES = 10
_BLOCK = re.compile(r"(?P<split>train|validation|test)/(?P<shard>\d{6}\.arrow):(?P<row>\d+)")
_SIDES = (("kept", ("kept", "train")), ("rejected", ("rejected",)))


def inspect(arguments: argparse.Namespace) -> int:
    """Print random kept and rejected documents of a stage, its histograms and its largest clusters."""
    home = locate_home(arguments.home)
    result = _result(home, find_run(home, arguments.run, stage=arguments.stage), arguments.stage)
    console = make_console()
    console.print(Text(f"{result.stage} {result.fingerprint[:8]}: {headline(result)}", style="bold"))
    console.print(Text(str(result.place), style="dim"))
    for line in places_in_indexes(home, result):
        console.print(Text(line))
    if not holds_documents(result):
        _print_figures(console, result)
        return 0
    _print_samples(console, result, arguments)
    for name, show in (("report.json", _print_report), ("clusters.json", _print_clusters)):
        if (path := result.file(name)).exists():
            show(console, json.loads(path.read_text(encoding="utf-8")))
    return 0


def why(arguments: argparse.Namespace) -> int:
    """Print the way of a document through the newest run, or the documents of a block."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.run, stage="shard")
    results = [result for stage in record.stages if (result := _stored(home, record, stage)) is not None]
    console = make_console()
    shards = next((result for result in results if result.stage == "shard"), None)
    if (block := _BLOCK.fullmatch(arguments.document)) is not None:
        _print_block(console, _result(home, record, "shard"), block["split"], block["shard"], int(block["row"]))
        return 0
    with_documents = [result for result in results if holds_documents(result)]
    if not with_documents:
        raise ParameterError(f"run {record.run_id} has no stored result with documents; gristmill run makes them again")
    place = _one_place(arguments.document, with_documents[0])
    console.print(Text(f"{place}  {place.id}", style="bold"))
    steps = follow(place, with_documents)
    for step in steps:
        console.print(_step_line(step))
    if shards is not None and steps[-1].side in SPLITS:
        _print_places(console, shards, steps[-1])
    console.print(Text(_excerpt(steps[-1].document["text"]), style="dim"))
    return 0


def _print_places(console: Console, shards: Manifest, step: Step) -> None:
    """The blocks that hold a document's tokens, the first few of them."""
    places = [
        place
        for row in rows_of(shards.folder, step.side, step.document["id"])
        for place in places_of(shards.folder, step.side, row)
    ]
    for place in places[:_PLACES]:
        tokens = f"tokens {place.start:,} to {place.start + place.last - place.first:,}"
        where = f"{place.shard}:{place.row}, positions {place.first:,} to {place.last:,}"
        console.print(Text.assemble(f"{'shard':<16}", (tokens, "green"), f" in block {where}"))
    if len(places) > _PLACES:
        console.print(Text(f"{'':<16}and {len(places) - _PLACES:,} places more"))
    if not places:
        console.print(Text(f"{'shard':<16}in no block: the mixture leaves it out"))


def _print_block(console: Console, shards: Manifest, split: str, shard: str, row: int) -> None:
    """Whose text is in a block."""
    path = shards.folder / split / shard
    num_rows = count_rows(path) if path.exists() else 0
    if row >= num_rows:
        there = f"its rows are 0 to {num_rows - 1}" if num_rows else f"the shard stage wrote no {split}/{shard}"
        raise ParameterError(f"no block {split}/{shard}:{row} in {shards.folder}: {there}")
    console.print(Text(f"block {split}/{shard}:{row}", style="bold"))
    for held in documents_in(shards.folder, split, shard, row):
        place = Place(held.id, held.source, held.path, held.position)
        last = held.start + held.last - held.first
        tokens = f"positions {held.first:,} to {held.last:,}: tokens {held.start:,} to {last:,} of "
        console.print(Text.assemble(tokens, (str(place), "cyan"), f" {held.id}"))


def _result(home: Home, record: RunRecord, stage: str) -> Manifest:
    if stage not in record.stages:
        raise ParameterError(f"run {record.run_id} has no stage {stage!r}; it has {', '.join(record.stages) or 'none'}")
    found = _stored(home, record, stage)
    if found is None:
        raise ParameterError(
            f"the result of {stage} of run {record.run_id} was removed; the same gristmill run makes it again"
        )
    return found


def _stored(home: Home, record: RunRecord, stage: str) -> Manifest | None:
    return Store(home.store).find(stage, record.stages[stage].fingerprint)


def _print_samples(console: Console, result: Manifest, arguments: argparse.Namespace) -> None:
    """Kept and rejected documents side by side."""
    where = {name: value for name in ("source", "rule") if (value := getattr(arguments, name)) is not None}
    samples = []
    for side, folders in _SIDES:
        asked = {name: value for name, value in where.items() if side == "rejected" or name != "rule"}
        shards = [path for folder in folders for path in result.paths(f"{folder}/*.arrow")]
        samples.append(sample_documents(shards, arguments.number, seed=arguments.seed, where=asked))
    table = Table(show_lines=True, expand=True)
    for (side, _), sample in zip(_SIDES, samples, strict=True):
        table.add_column(f"{side}: {len(sample.rows):,} of {sample.among:,}", ratio=1)
    for row in zip_longest(*(_cells(sample) for sample in samples), fillvalue=Text()):
        table.add_row(*row)
    console.print(table)


def _cells(sample: Sample) -> Iterator[Text]:
    for row in sample.rows:
        cell = Text.assemble((_place(row), "cyan"), " ", (row["id"][:8], "dim"), "\n")
        if "rule" in row:
            cell.append(_reason(row) + "\n", style="red")
        yield cell.append(_excerpt(row["text"]))


def _place(row: Row) -> str:
    return str(Place(row["id"], row["source"], row["path"], row["position"]))


def _reason(row: Row) -> str:
    value = "" if row["value"] is None else f" {row['value']:.4g}"
    threshold = "" if row["threshold"] is None else f" (threshold {row['threshold']:.4g})"
    detail = f": {printable(row['detail'])}" if row["detail"] else ""
    return f"{row['rule']}{value}{threshold}{detail}"


def _excerpt(text: str) -> str:
    """How a text begins, on one line."""
    return shortened(text[: 4 * _EXCERPT], _EXCERPT)


def _print_report(console: Console, report: dict[str, Any]) -> None:
    """Histograms of what the rules measured, then what each source lost by which rule."""
    if rules := report.get("rules"):
        console.print(_histogram_table(rules))
    if by_source := report.get("by_source"):
        console.print(_source_table(by_source))


def _histogram_table(rules: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="What was measured (red: rejected)", title_justify="left")
    for name, justify in (("Rule", "left"), ("Threshold", "right"), ("From", "right"), ("Documents", "left")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("To", justify="right", no_wrap=True)
    for rule in rules:
        shown = occupied(rule["counts"])
        edges = [*rule["edges"], inf][: len(rule["counts"]) + 1]  # the last bin may be open
        drawn = bars(rule["counts"], edges, rule["threshold"], rule["direction"])[shown]
        line = Text.assemble(*((bar.sign, "red" if bar.is_rejected else "green") for bar in drawn))
        ends = ["" if edge == inf else f"{edge:.3g}" for edge in (edges[shown.start], edges[shown.stop])]
        sign = ">=" if rule["direction"] == "at_least" else "<="
        table.add_row(rule["name"], f"{sign} {rule['threshold']:.4g}", ends[0], line, ends[1])
    return table


def _source_table(by_source: dict[str, dict[str, Any]]) -> Table:
    """A row per rule that rejected anything, a column per source."""
    table = Table(title="Rejected by source and rule", title_justify="left")
    table.add_column("Rule", no_wrap=True)
    for source in by_source:
        table.add_column(source, justify="right")
    table.add_row("documents in", *(f"{found['docs_in']:,}" for found in by_source.values()))
    table.add_row("documents kept", *(f"{found['docs_kept']:,}" for found in by_source.values()), end_section=True)
    rules = {rule for found in by_source.values() for rule in found["rejected"]}
    totals = {rule: sum(found["rejected"].get(rule, 0) for found in by_source.values()) for rule in rules}
    for rule in sorted(rules, key=lambda rule: (-totals[rule], rule)):
        table.add_row(rule, *(f"{found['rejected'].get(rule, 0):,}" for found in by_source.values()))
    return table


def _print_clusters(console: Console, report: dict[str, Any]) -> None:
    table = Table(title="Largest duplicate clusters", title_justify="left", show_lines=True, expand=True)
    table.add_column("Documents", justify="right", no_wrap=True)
    table.add_column("Survivor")
    table.add_column("Some that left")
    for cluster in report["largest"]:
        survivor = Text.assemble((cluster["survivor"], "cyan"), "\n", _excerpt(cluster["text"]))
        left = [f"{member['similarity']:.2f} {member['document']}" for member in cluster["rejected"]]
        table.add_row(f"{cluster['documents']:,}", survivor, "\n".join(left))
    if table.row_count:
        console.print(table)


def _print_figures(console: Console, result: Manifest) -> None:
    metrics = result.metrics
    for name, value in {**metrics.counts, **metrics.values, **metrics.facts}.items():
        console.print(Text(f"{name:<32} {value if isinstance(value, str) else format(value, ',.6g')}"))


def _one_place(reference: str, first: Manifest) -> Place:
    places = find_places(reference, first)
    if len(places) == 1:
        return places[0]
    if not places:
        raise ParameterError(
            f"no document {reference!r} in {first.stage}; name it by its id (6 digits or more), source/path or "
            "source/path:line, as gristmill inspect shows them"
        )
    named = "".join(f"\n  {place}  {place.id}" for place in places)
    raise ParameterError(f"{reference!r} may be any of these documents and perhaps more; name one:{named}")


def _step_line(step: Step) -> Text:
    where = f"{step.side}/{step.shard} row {step.row}"
    line = Text(f"{step.stage:<16}")
    if step.side == "rejected":
        line.append(f"dropped by {_reason(step.document)}", style="red")
    else:
        line.append(f"{step.side}, {len(step.document['text'].encode()):,} bytes", style="green")
    return line.append(f"  ({where})", style="dim")
