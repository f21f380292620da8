"""gristmill run: the pipeline from the command line, with the servers it needs and a report at the end."""

import argparse
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flows.cancelling import CancelledInPrefect, settle
from flows.console import make_console, progress, say
from flows.home import full_disk_explained, locate_home, open_home
from flows.housekeeping import find_run
from flows.reporting import report_path
from flows.servers import PrefectServer, check_mlflow, mlflow_unusable
from flows.summary import print_outcome
from params.errors import ParameterError, PrefectGoneError
from params.keys import merge
from params.load import load_params, parse_assignments
from tasks.artifacts.manifest import work_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store

if TYPE_CHECKING:
    from flows.pipeline import Outcome


def run(arguments: argparse.Namespace, more: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Run the pipeline and report; `more` is laid over what the arguments say."""
    overrides = merge(overrides_of(arguments), more)
    params = load_params(arguments.preset, overrides)
    home = open_home(params.run.home)
    with progress(home.logs), full_disk_explained(home):
        until = getattr(arguments, "until", None)
        server, called = PrefectServer(home), {"preset": arguments.preset, "overrides": overrides}
        outcome: Outcome = call_flow(server, "flows.pipeline", "pipeline", **called, until=until)
    options = f" --home {shlex.quote(str(arguments.home))}" if arguments.home else ""
    print_outcome(make_console(), outcome, options)
    if (report := report_path(home, outcome.record)).exists():
        print(f"Read its report:       {report}")
    return 0


def branch(arguments: argparse.Namespace) -> int:
    """Run the pipeline of an earlier run again, its training from one of the checkpoints."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.parent)
    checkpoint = _checkpoint(Store(home.store), record, arguments.phase, arguments.step)
    say(f"goes on from {checkpoint}")
    changes = merge(record.overrides, parse_assignments(arguments.set))
    phases = load_params(record.preset, changes).train.phases
    chosen = arguments.phase or (phases[-1].name if phases else None)
    own: dict[str, Any] = {"branch_from": str(checkpoint)}
    if phases:
        plain = [phase.model_dump(mode="json", exclude_unset=True) for phase in phases]
        own = {"phases": [phase | own if phase["name"] == chosen else phase for phase in plain]}
    overrides = merge(changes, {"train": own})
    again = argparse.Namespace(preset=record.preset, home=arguments.home, set=[], text=[], name=None)
    return run(again, overrides)


def _checkpoint(store: Store, record: RunRecord, phase: str | None, step: int | None) -> Path:
    """The folder of a checkpoint that a run left."""
    trained = [stage for stage in record.stages if work_of(stage) == "train"]
    wanted = [stage for stage in trained if phase is None or stage == f"train.{phase}"]
    if not wanted:
        raise ParameterError(f"run {record.run_id} has no phase {phase!r}; it has {', '.join(trained) or 'none'}")
    fingerprint = record.stages[wanted[-1]].fingerprint
    made = store.find(wanted[-1], fingerprint)
    folder = store.folder(wanted[-1], fingerprint) if made is None else made.folder_with("checkpoints/**")
    folder = folder / "checkpoints"
    found = {int(path.name.removeprefix("step-")): path for path in sorted(folder.glob("step-*"))}
    if not found:
        raise ParameterError(f"{folder}: no checkpoint is left there; run the same recipe again to make it anew")
    if step is not None and step not in found:
        raise ParameterError(f"no checkpoint of step {step} in {folder}; there is {', '.join(map(str, found))}")
    return found[step if step is not None else min(found)]


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


def call_flow(server: PrefectServer, module: str, name: str, **parameters: Any) -> Any:
    """Call a flow. While the server starts, MLflow and Prefect are imported and MLflow's database is opened."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    _open_mlflow()
    server.announce()
    from httpx import TransportError
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    called = getattr(import_module(module), name)
    server.ready()
    # Joining the heartbeat thread takes a second at the end of the flow. Only a server that outlives this process
    # needs heartbeats to see it dead.
    quick = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}) if server.own_api is None else nullcontext()
    try:
        with quick:
            return called(**parameters)
    except CancelledInPrefect as cancel:
        settle(cancel)
        raise
    except TransportError as error:
        url = os.environ["PREFECT_API_URL"]
        raise PrefectGoneError(
            f"the Prefect server at {url} is gone ({error}); what is finished is kept: start the same command again"
        ) from None


def _open_mlflow() -> None:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    check_mlflow(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        MlflowClient(uri).search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError) as error:
        raise mlflow_unusable(uri, error) from None
