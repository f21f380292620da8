"""gristmill plan and explain: what a run would do, and why, without doing it."""

import argparse

from rich.table import Table
from rich.text import Text

from flows.console import make_console
from flows.home import locate_home
from flows.running import overrides_of
from flows.sharing import share
from params.load import load_params
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Planned, Run, roots_of


def plan(arguments: argparse.Namespace) -> int:
    """Print which stages would run."""
    planned = walk(arguments)
    table = Table(title=f"Plan of {arguments.preset}", title_justify="left")
    for name in ("Stage", "Would", "Result"):
        table.add_column(name)
    for step in planned:
        table.add_row(step.stage, "run" if step.would_run else "be reused", (step.fingerprint or "")[:8])
    console = make_console()
    console.print(table)
    console.print(_count(planned))
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Print for every stage whether it would run, and which parameter, input or version makes it so."""
    planned = walk(arguments)
    console = make_console()
    for step in planned:
        console.print(Text(f"{step.stage:<16}{'would run' if step.would_run else 'would be reused'}"))
        for reason in step.reasons:
            console.print(Text(f"{'':<16}  {reason}"))
    console.print(_count(planned))
    return 0


def walk(arguments: argparse.Namespace) -> list[Planned]:
    """Walk along the stages without making anything."""
    from flows.pipeline import chain

    overrides = overrides_of(arguments)
    params = load_params(arguments.preset, overrides)
    store = share(Store(locate_home(params.run.home).store), params.run)
    planned: list[Planned] = []
    record = RunRecord.begin(arguments.preset, overrides)
    chain(params, Run(store, params.run, record, roots=roots_of(params), plan=planned))
    return planned


def _count(planned: list[Planned]) -> str:
    would_run = sum(step.would_run for step in planned)
    return f"{would_run} of {len(planned)} stages would run."
