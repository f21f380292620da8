"""gristmill promote, rollback and registry: who is champion, by the gate or by a person, with a trail."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from flows import manual
from flows.console import make_console
from flows.home import open_home
from params.errors import ParameterError, ReleaseError
from tasks.artifacts.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from tasks.registry.trail import Event

_TIME_CHARACTERS = 16


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    added = add("promote", promote, help="let a version take the champion's place", about=manual.PROMOTE)
    added.add_argument("model", help="NAME (its challenger), NAME@ALIAS or NAME/VERSION")
    added.add_argument("--override", action="store_true", help="whatever the gate says; needs --reason")
    back = add("rollback", rollback, help="make the former champion champion again", about=manual.ROLLBACK)
    back.add_argument("model", metavar="NAME", help="name of the registered model")
    for command in (added, back):
        command.add_argument("--reason", default="", help="why, for the trail")
    listed = add("registry", registry, help="list a model's versions and decisions", about=manual.REGISTRY)
    listed.add_argument("model", metavar="NAME", help="name of the registered model")


def promote(arguments: argparse.Namespace) -> int:
    """Decide on a version, print every check, and move the aliases."""
    if arguments.override and not arguments.reason.strip():
        raise ParameterError("promote --override needs --reason: who reads the trail will want to know why")
    home = open_home(arguments.home)
    from tasks.promote import Request, this_person
    from tasks.promote import promote as decide

    request = Request(this_person(), arguments.reason, arguments.override)
    judged = decide(arguments.model, request, store=Store(home.store))
    console = make_console()
    console.print(gate_table(judged.checks, f"Gate of {judged.name} version {judged.version}"))
    console.print(judged.decision.text)
    if judged.is_champion and not judged.decision.promote:
        console.print(f"Promoted all the same by {request.who}: {request.reason}")
    if not judged.is_champion:
        raise ReleaseError(
            f"{judged.name} version {judged.version} is not promoted; a person may overrule that with "
            f'gristmill promote {judged.name}/{judged.version} --override --reason "…"'
        )
    return 0


def rollback(arguments: argparse.Namespace) -> int:
    """Go back to the champion before."""
    home = open_home(arguments.home)
    from tasks.promote import Request, this_person
    from tasks.promote import rollback as go_back

    event = go_back(arguments.model, Request(this_person(), arguments.reason), store=Store(home.store))
    print(f"{arguments.model}: {event.text}")
    return 0


def registry(arguments: argparse.Namespace) -> int:
    """Print the versions of a model and the trail of decisions."""
    open_home(arguments.home)
    from mlflow import MlflowClient

    from tasks.alias import read_trail
    from tasks.pull import known_versions
    from tasks.tracking import answering_registry

    client, name = MlflowClient(), arguments.model
    with answering_registry():
        versions, events = known_versions(client, name), read_trail(client, name)
    console = make_console()
    console.print(_versions_table(name, versions))
    console.print(_trail_table(events))
    return 0


def gate_table(checks: Sequence[Mapping[str, Any]], title: str) -> Table:
    """One row for each condition."""
    table = Table(title=title, title_justify="left")
    for column in ("Check", "Found", "Asked for", "Result"):
        table.add_column(column)
    for check in checks:
        found = "-" if check["value"] is None else str(check["value"])
        cells = (str(check["name"]), found, str(check["limit"]), "passed" if check["passed"] else "FAILED")
        table.add_row(*map(Text, cells))
    return table


def _versions_table(name: str, versions: "Sequence[ModelVersion]") -> Table:
    table = Table(title=f"Versions of {name}", title_justify="left")
    for column in ("Version", "Aliases", "Served", "Figure", "Gate", "Run"):
        table.add_column(column)
    for version in versions:
        tags = version.tags
        gate = "passed" if tags.get("gristmill.gate") == "passed" else "failed"
        figures = (tags.get("gristmill.served", "-"), _figure(tags), gate)
        aliases = ", ".join(f"@{alias}" for alias in sorted(version.aliases))
        table.add_row(*map(Text, (str(version.version), aliases, *figures, str(version.run_id or "-")[:8])))
    return table


def _figure(tags: Mapping[str, str]) -> str:
    """What a version is told by: bits per byte, or the figure that its kind is judged by."""
    name = tags.get("gristmill.figure", "served.bits_per_byte").rpartition(".")[2]
    value = tags.get(f"gristmill.{name}")
    return "-" if value is None else f"{value} {name.replace('_', ' ')}"


def _trail_table(events: "Sequence[Event]") -> Table:
    table = Table(title="Decisions", title_justify="left")
    for column in ("When (UTC)", "What", "Version", "Who", "Why"):
        table.add_column(column)
    for event in events:
        when = event.when[:_TIME_CHARACTERS].replace("T", " ")
        why = "; ".join(part for part in (event.reason, event.text) if part)
        table.add_row(*map(Text, (when, event.action, str(event.version), event.who, why)))
    return table
