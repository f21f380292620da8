"""gristmill evaluate: any model through the evaluation of the pipeline."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from flows import manual
from flows.console import make_console, progress
from flows.home import open_home
from flows.out_file import check_out, write_out
from params.errors import ParameterError
from params.load import parse_assignments
from tasks.artifacts.store import Store

_GROUPS = ("by_source", "by_language")
_ENDS = ("_low", "_high")


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command of this module."""
    added = add("evaluate", evaluate, help="measure any model", about=manual.EVALUATE)
    added.add_argument("model", help="a path, a run's id, NAME@ALIAS or NAME/VERSION")
    added.add_argument(
        "--on", action="append", default=[], metavar="TEXT", help="file, folder or run to measure on; may be repeated"
    )
    added.add_argument("--variant", help="an ONNX variant, or transformers (default: the one that is served)")
    added.add_argument("--text-field", default="text", metavar="NAME", help="column of the text in tables (text)")
    added.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for example max_documents=100")
    added.add_argument("--out", type=Path, metavar="FILE", help="write the report as JSON")


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure a model, print the figures, write them down and log them to MLflow."""
    overrides = parse_assignments(arguments.set)
    overrides = overrides.get("evaluate", overrides)
    if not isinstance(overrides, dict):
        raise ParameterError("--set takes values of section evaluate, such as max_documents=100")
    if arguments.out is not None:
        check_out(arguments.out)
    home = open_home(arguments.home)
    from tasks.measure import measure

    with progress(home.logs):
        done = measure(
            arguments.model,
            arguments.on,
            overrides,
            store=Store(home.store),
            variant=arguments.variant,
            text_field=arguments.text_field,
        )
    if arguments.out is not None:
        write_out(arguments.out, json.dumps(done.report, indent=1, ensure_ascii=False) + "\n")
    console = make_console()
    about = done.report["model"]
    console.print(_table(done.report, f"{about['name']}, {about['kind']}"))
    console.print(f"MLflow run {done.mlflow_run_id}{f'; report in {arguments.out}' if arguments.out else ''}")
    return 0


def figure_rows(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Figures of each set of documents, then other numbers by dotted name, those of parts left out."""
    from tasks.evaluation.naming import numbers_of

    rows = list[dict[str, str]]()
    for name, found in report.items():
        if isinstance(found, Mapping) and "bits_per_byte_low" in found:
            rows += _set_rows(name, found)
    numbers = numbers_of({key: value for key, value in report.items() if not _is_set(value)})
    for name, value in numbers.items():
        if _shown(name) and not name.endswith(_ENDS):
            ends = [f"{numbers[name + end]:.4f}" for end in _ENDS if name + end in numbers]
            rows.append({"figure": name, "value": f"{value:,.6g}", "interval": " to ".join(ends)})
    return rows


def _shown(name: str) -> bool:
    """Parts are left out, but for those of a classifier: its labels."""
    return ".by_" not in name or ".by_label." in name


def _set_rows(name: str, found: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for key in ("loss", "perplexity", "bits_per_byte"):
        interval = f"{found['bits_per_byte_low']:.4f} to {found['bits_per_byte_high']:.4f}"
        shown = interval if key == "bits_per_byte" else ""
        rows.append({"figure": f"{name}.{key}", "value": f"{found[key]:,.4f}", "interval": shown})
    for key in ("exact_match", "chrf"):  # of what is written
        if key in found:
            ends = [f"{found[key + end]:.4f}" for end in _ENDS if key + end in found]
            rows.append({"figure": f"{name}.{key}", "value": f"{found[key]:,.4f}", "interval": " to ".join(ends)})
    for group in _GROUPS:
        parts = found.get(group, {})
        for part, figures in parts.items() if len(parts) > 1 else ():
            interval = f"{figures['bits_per_byte_low']:.4f} to {figures['bits_per_byte_high']:.4f}"
            value = f"{figures['bits_per_byte']:.4f}"
            rows.append({"figure": f"{name}.{group}.{part}.bits_per_byte", "value": value, "interval": interval})
    return rows


def _is_set(value: Any) -> bool:
    return isinstance(value, Mapping) and "bits_per_byte_low" in value


def _table(report: Mapping[str, Any], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("Figure")
    for column in ("Value", "Interval"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in figure_rows(report):
        table.add_row(*map(Text, row.values()))
    return table
