"""gristmill run: the pipeline from the command line, with the servers it needs and a report at the end."""

import argparse
import os
import re
import shlex
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.console import make_console, progress
from flows.home import full_disk_explained, open_home
from flows.servers import PrefectServer, check_mlflow
from flows.summary import print_outcome
from params.load import load_params, merge, parse_assignments

if TYPE_CHECKING:
    from flows.pipeline import Outcome


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline and report."""
    overrides = overrides_of(arguments)
    params = load_params(arguments.preset, overrides)
    home = open_home(params.run.home)
    with progress(home.logs), full_disk_explained(home):
        outcome = run_flow(PrefectServer(home), arguments.preset, overrides)
    options = f" --home {shlex.quote(str(arguments.home))}" if arguments.home else ""
    print_outcome(make_console(), outcome, options)
    return 0


def overrides_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What --text, --name, --set and --home lay over the preset."""
    overrides = parse_assignments(arguments.set)
    if arguments.text:
        overrides = merge({"survey": {"sources": sources_of(arguments.text)}}, overrides)
    if arguments.name is not None:
        overrides = merge(overrides, {"release": {"model_name": arguments.name}})
    if arguments.home is not None:
        overrides = merge(overrides, {"run": {"home": str(arguments.home.expanduser().absolute())}})
    return overrides


def sources_of(paths: list[Path]) -> list[dict[str, str]]:
    """A source for each path, named after it, with a number where two names would be the same."""
    sources: list[dict[str, str]] = []
    for path in paths:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.expanduser().absolute().stem).strip("-._") or "text"
        taken = {source["name"] for source in sources}
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        sources.append({"name": next(name for name in names if name not in taken), "path": str(path)})
    return sources


def run_flow(server: PrefectServer, preset: str, overrides: dict[str, Any]) -> "Outcome":
    """Call the flow. While the server starts, MLflow and Prefect are imported and MLflow's database is opened."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    _open_mlflow()
    server.announce()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.pipeline import pipeline

    server.ready()
    # Joining the heartbeat thread takes a second at the end of the flow. Only a server that outlives this process
    # needs heartbeats to see it dead.
    quick = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}) if server.own_api is None else nullcontext()
    with quick:
        return pipeline(preset, overrides)


def _open_mlflow() -> None:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    check_mlflow(uri)
    from mlflow import MlflowClient

    MlflowClient(uri).search_experiments(max_results=1)
