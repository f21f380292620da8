"""gristmill runs usage: what each stage took of time, memory, disk and money, over the last runs."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from flows import manual
from flows.console import make_console
from flows.home import locate_home
from tasks.artifacts.record import RunRecord, run_records
from tasks.context import Run

FIGURES = {
    "wall_s": ("Seconds", ",.1f"),
    "cpu_s": ("CPU seconds", ",.1f"),
    "peak_rss_mb": ("Peak MB", ",.0f"),
    "disk_mb": ("Disk MB", ",.1f"),
    "cost": ("Cost", ",.4f"),
}
"""Fields of a stage's record: title and style. Of a reused stage only the disk counts: it took nothing else."""
_LAST = 5
_LAST_IN_PREFECT = 10


@dataclass(frozen=True)
class UsageRow:
    """One figure of one stage in each of some runs; None where it was reused or not come to."""

    figure: str
    stage: str
    values: tuple[float | None, ...]


def usage_rows(records: Sequence[RunRecord]) -> Iterator[UsageRow]:
    """The figures of all stages that these runs came to, figure by figure; those that no run has are left out."""
    stages = list(dict.fromkeys(stage for record in records for stage in record.stages))
    for figure in FIGURES:
        for stage in stages:
            values = tuple(_value(record, stage, figure) for record in records)
            if any(value is not None for value in values):
                yield UsageRow(figure, stage, values)


def publish_usage(run: Run) -> None:
    """The figures of the last runs of the same preset as an artifact of the Prefect flow run."""
    from prefect.artifacts import create_table_artifact

    earlier = [record for record in run_records(run.store.root) if record.preset == run.record.preset]
    records = [record for record in earlier if record.run_id != run.record.run_id and record.stages] + [run.record]
    records = records[-_LAST_IN_PREFECT:]
    names = [record.run_id for record in records]
    rows = [
        {"stage": row.stage, "figure": FIGURES[row.figure][0], **dict(zip(names, _cells(row), strict=True))}
        for row in usage_rows(records)
    ]
    create_table_artifact(table=rows, key="usage", description="What stages took of time, memory, disk and money")


def add_parser(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command on the command line."""
    added = add("usage", show_usage, help="what each stage took, over the last runs", about=manual.USAGE)
    added.add_argument("-n", type=int, default=_LAST, dest="number", metavar="N", help=f"how many runs ({_LAST})")
    added.add_argument("--preset", help="only runs of this preset")


def show_usage(arguments: argparse.Namespace) -> int:
    """Print a table for each figure, the newest run last."""
    home = locate_home(arguments.home)
    chosen = [
        record for record in run_records(home.store) if record.stages and arguments.preset in (None, record.preset)
    ][-max(arguments.number, 1) :]
    console = make_console()
    if not chosen:
        console.print(f"no such runs in {home.root} yet; start one with gristmill run")
        return 0
    rows = list(usage_rows(chosen))
    for figure, (title, _) in FIGURES.items():
        if found := [row for row in rows if row.figure == figure]:
            console.print(_table(title, chosen, found))
    return 0


def _table(title: str, records: Sequence[RunRecord], rows: Sequence[UsageRow]) -> Table:
    table = Table(title=title, title_justify="left", show_footer=True)
    figure = rows[0].figure
    whole = max if figure == "peak_rss_mb" else sum
    table.add_column("Stage", footer="all", no_wrap=True)
    for record, values in zip(records, zip(*(row.values for row in rows), strict=True), strict=True):
        found = [value for value in values if value is not None]
        name = f"{record.run_id[4:8]}-{record.run_id[9:13]}\n{record.run_id[-4:]}"
        footer = format(whole(found), FIGURES[figure][1]) if found else "-"
        table.add_column(name, justify="right", footer=footer, no_wrap=True)
    for row in rows:
        table.add_row(row.stage, *map(Text, _cells(row)))
    return table


def _cells(row: UsageRow) -> list[str]:
    style = FIGURES[row.figure][1]
    return ["-" if value is None else format(value, style) for value in row.values]


def _value(record: RunRecord, stage: str, figure: str) -> float | None:
    done = record.stages.get(stage)
    if done is None or (done.reused and figure != "disk_mb"):
        return None
    value: float | None = getattr(done, figure)
    return value
