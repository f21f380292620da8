"""gristmill retrain: look for new text, and train again when there is evidence."""

import argparse
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from flows import manual
from flows.console import make_console, progress
from flows.home import full_disk_explained, open_home
from flows.renewable import check_renewable
from flows.running import call_flow, overrides_of
from flows.servers import PrefectServer
from params.load import load_params

if TYPE_CHECKING:
    from flows.retrain import Retrained

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(add: Callable[..., argparse.ArgumentParser], commands: "Commands") -> None:
    """retrain."""
    added = add(commands, "retrain", retrain, help="train again on new text", about=manual.RETRAIN)
    added.add_argument("preset", help="name of a preset or path of a .yaml file")
    added.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the preset")
    added.set_defaults(text=[], name=None)


def retrain(arguments: argparse.Namespace) -> int:
    """Run the flow and report."""
    from flows.summary import print_outcome

    overrides = overrides_of(arguments)
    params = load_params(arguments.preset, overrides)
    check_renewable(params)
    home = open_home(params.run.home)
    with progress(home.logs), full_disk_explained(home):
        server = PrefectServer(home)
        done: Retrained = call_flow(server, "flows.retrain", "retrain", preset=arguments.preset, overrides=overrides)
    options = f" --home {shlex.quote(str(arguments.home))}" if arguments.home else ""
    if done.outcome.registered is not None:
        print_outcome(make_console(), done.outcome, options)
    for line in done.outcome.record.notes:
        print(line)
    return 0
