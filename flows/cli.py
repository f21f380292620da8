"""The command line: gristmill COMMAND --help."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from flows import (
    classifying,
    generating,
    housekeeping,
    indexes,
    manual,
    measuring,
    models,
    node,
    planning,
    presets,
    promoting,
    reporting,
    retraining,
    running,
    serving,
    shared,
    standing,
    ui,
    usage,
)
from flows.command_help import Parser, amount, port
from flows.console import INTERRUPTED, end_at_once, report_crash, say, take_any_text
from flows.home import locate_home
from flows.prefect_server import DEFAULT_PORT
from params.errors import GristmillError, PrefectGoneError
from params.pipeline import STAGES
from params.schema import DEFAULT_PATH

Command = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_MLFLOW_PORT = 5000


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; an error that is the user's to mend is printed in a line, without a traceback."""
    take_any_text()
    arguments = parser().parse_args(argv)
    try:
        sys.excepthook = partial(report_crash, locate_home(arguments.home).logs)
        return int(arguments.command(arguments))
    except GristmillError as error:
        say(f"gristmill: error: {error}")
        if isinstance(error, PrefectGoneError):
            end_at_once(error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        say("gristmill: interrupted; finished stages are kept: the same command goes on from there")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top: argparse.ArgumentParser = Parser(prog="gristmill", description=manual.ABOUT, epilog=manual.EXIT_CODES)
    top.add_argument("--version", action="version", version=f"gristmill {version('gristmill')}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _add_runs_of_the_pipeline(commands)
    _add_store_commands(commands)
    _add_run_records(commands)
    _add_steering(commands)
    _add_views(commands)
    reporting.add_parser(partial(_add, commands))
    _add_model_commands(commands)
    node.add_parser(commands)
    _add_rest(commands)
    return top


def _add(
    commands: Commands, name: str, command: Command, *, help: str, about: str, home: str | None = None
) -> argparse.ArgumentParser:
    """A command with its description and examples; every command takes --home, whose default is `home`."""
    added = commands.add_parser(name, help=help, description=about)
    about_home = "home folder (default: GRISTMILL_HOME or ./.gristmill)"
    added.add_argument("--home", type=Path, metavar="DIR", default=home, help=about_home)
    added.set_defaults(command=command)
    return added


def _add_runs_of_the_pipeline(commands: Commands) -> None:
    for name, command, help, about in (
        ("run", running.run, "run the pipeline", manual.RUN),
        ("plan", planning.plan, "say which stages would run", manual.PLAN),
        ("explain", planning.explain, "say why each stage would run", manual.EXPLAIN),
        ("estimate", _estimate, "tell what a run will take", manual.ESTIMATE),
        ("notify", _notify, "show and try the channels of notices", manual.NOTIFY),
    ):
        added = _add(commands, name, command, help=help, about=about)
        added.add_argument(
            "preset", nargs="?", default="quickstart", help="name of a preset or path of a .yaml file (quickstart)"
        )
        added.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="lay a value over the preset, for example train.stop.max_minutes=2; may be repeated",
        )
        added.add_argument(
            "--text",
            action="append",
            default=[],
            type=Path,
            metavar="PATH",
            help="read this file or folder instead of the preset's sources; may be repeated",
        )
        added.add_argument("--name", metavar="MODEL", help="name of the registered model (release.model_name)")
        if name == "run":
            added.add_argument("--until", metavar="STAGE", choices=STAGES, help="end after this stage: shard, train …")
        if name == "estimate":
            _add_estimate_options(added)
        if name == "notify":
            added.add_argument("--test", action="store_true", help="send a notice through every channel now")


def _add_estimate_options(added: argparse.ArgumentParser) -> None:
    added.add_argument("--on", metavar="DEVICE", help="accelerators instead of this machine, such as h100x8")
    added.add_argument("--price", type=amount, help="price of an hour of one device")
    added.add_argument("--watts", type=amount, help="power of this machine")
    added.add_argument("--json", action="store_true", help="print JSON")
    added.add_argument("--no-trial", action="store_true", help="no steps of training to measure: by the matrix peak")


def _add_store_commands(commands: Commands) -> None:
    verify = _add(commands, "verify", housekeeping.verify, help="check stored results", about=manual.VERIFY)
    verify.add_argument("--stage", help="only results of this stage")
    verify.add_argument("--remove", action="store_true", help="remove damaged results, so that the next run makes them")
    gc = _add(commands, "gc", housekeeping.gc, help="free disk space", about=manual.GC)
    gc.add_argument("--keep-runs", type=_count, metavar="N", help="first forget all but the N newest runs")
    gc.add_argument("--drafts", action="store_true", help="also remove what interrupted runs left to go on from")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    indexes.add_option(gc)
    shared.add_option(verify, gc)


def _add_run_records(commands: Commands) -> None:
    runs = _add(commands, "runs", housekeeping.list_runs, help="list, show and forget runs", about=manual.RUNS)
    actions = runs.add_subparsers(metavar="ACTION")
    for name, command, help in (
        ("list", housekeeping.list_runs, "all runs, newest last"),
        ("show", housekeeping.show_run, "one run with its stages"),
        ("delete", housekeeping.delete_run, "forget a run (gc then frees its results)"),
    ):
        about = f"{help[0].upper()}{help[1:]}."
        added = _add(actions, name, command, help=help, about=about, home=argparse.SUPPRESS)
        if name != "list":
            added.add_argument("id", help="the run's id, or enough of its beginning")
    usage.add_parser(partial(_add, actions, home=argparse.SUPPRESS))


def _add_steering(commands: Commands) -> None:
    steered = _add(commands, "steer", _steer, help="hands on a running training", about=manual.STEER)
    steered.add_argument("action", choices=("save", "stop", "pause", "continue", "last-phase", "set"))
    steered.add_argument(
        "values", nargs="*", metavar="KEY=VALUE", help="for set: lr_scale=0.5, stop.max_tokens=2000000"
    )
    steered.add_argument("--reason", default="", help="why, for the record")
    branch = _add(commands, "branch", running.branch, help="a new run from a checkpoint", about=manual.BRANCH)
    branch.add_argument("parent", help="the run's id, or enough of its beginning")
    branch.add_argument("--step", type=_count, metavar="N", help="the checkpoint (default: where the decay began)")
    branch.add_argument("--phase", metavar="NAME", help="a phase of training (default: the last)")
    branch.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="what is to differ")
    approved = _add(commands, "approve", _approve, help="let a waiting phase begin", about=manual.APPROVE)
    approved.add_argument("phase", help="name of the phase")
    for added in (steered, approved):
        added.add_argument("--run", metavar="ID", help="the run's id, or enough of its beginning (the one under way)")


def _add_views(commands: Commands) -> None:
    inspect = _add(commands, "inspect", _inspect, help="look into a stage's result", about=manual.INSPECT)
    inspect.add_argument("stage", help="ingest, clean, dedup …")
    inspect.add_argument("-n", type=_count, default=20, dest="number", metavar="N", help="documents of each kind (20)")
    inspect.add_argument("--source", help="only documents of this source")
    inspect.add_argument("--rule", help="only documents rejected by this rule")
    inspect.add_argument("--seed", type=int, default=0, help="another number draws other documents (0)")
    why = _add(commands, "why", _why, help="follow one document through a run", about=manual.WHY)
    why.add_argument("document", help="its id or SOURCE/PATH[:LINE], or a block as SPLIT/SHARD:ROW")
    stopped = _add(
        commands, "why-stopped", _why_stopped, help="say which stop rule ended training", about=manual.WHY_STOPPED
    )
    replayed = _add(commands, "replay", _replay, help="try other stop rules on a recorded run", about=manual.REPLAY)
    for added in (stopped, replayed):
        added.add_argument(
            "run", nargs="?", metavar="RUN", help="the run's id, or enough of its beginning (the newest)"
        )
    replayed.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a stop rule, for example train.stop.patience.evals=5; may be repeated",
    )
    for added in (inspect, why):
        added.add_argument("--run", metavar="ID", help="the run's id, or enough of its beginning (the newest)")


def _add_model_commands(commands: Commands) -> None:
    generating.add_parser(commands)
    classifying.add_parser(commands)
    serving.add_parser(commands)
    measuring.add_commands(partial(_add, commands))
    promoting.add_commands(partial(_add, commands))
    pull = _add(commands, "pull", models.pull, help="fetch a released model", about=manual.PULL)
    pull.add_argument("model", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    pull.add_argument("--variant", help="only this ONNX variant: fp32, int8 … (default: all)")
    pull.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: ./NAME)")


def _add_rest(commands: Commands) -> None:
    served = _add(commands, "ui", ui.ui, help="open both UIs on the home's data", about=manual.UI)
    served.add_argument("--prefect-port", type=port, default=DEFAULT_PORT, metavar="PORT", help=f"({DEFAULT_PORT})")
    served.add_argument("--mlflow-port", type=port, default=_MLFLOW_PORT, metavar="PORT", help=f"({_MLFLOW_PORT})")
    retraining.add_parser(_add, commands)
    standing.add_parsers(_add, commands)
    _add(commands, "presets", presets.list_presets, help="list the presets", about=manual.PRESETS)
    schema = _add(
        commands, "schema", presets.write_schema, help="write the JSON schema of presets", about=manual.SCHEMA
    )
    schema.add_argument("--out", type=Path, default=DEFAULT_PATH, metavar="FILE", help="(beside the built-in presets)")


def _inspect(arguments: argparse.Namespace) -> int:
    from flows import inspecting  # reads Arrow files and loads kernels: nothing that --help should wait for

    return inspecting.inspect(arguments)


def _why(arguments: argparse.Namespace) -> int:
    from flows import inspecting

    return inspecting.why(arguments)


def _estimate(arguments: argparse.Namespace) -> int:
    from flows import estimating

    return estimating.estimate_run(arguments)


def _notify(arguments: argparse.Namespace) -> int:
    from flows import notifying

    return notifying.notify(arguments)


def _steer(arguments: argparse.Namespace) -> int:
    from flows import steering

    return steering.steer(arguments)


def _approve(arguments: argparse.Namespace) -> int:
    from flows import steering

    return steering.approve(arguments)


def _why_stopped(arguments: argparse.Namespace) -> int:
    from flows import stopping

    return stopping.why_stopped(arguments)


def _replay(arguments: argparse.Namespace) -> int:
    from flows import stopping

    return stopping.replay_rules(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
