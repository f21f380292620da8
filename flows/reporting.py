"""gristmill report: the HTML report of a run, which each run also writes at its end."""

import argparse
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows import manual
from flows.home import Home, open_home
from params.errors import ParameterError
from params.load import load_params
from params.pipeline import PipelineParams
from params.run import RunParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.watching.containment import Contained

if TYPE_CHECKING:
    from tasks.report.report import Rival
    from tasks.tracking import Tracker

log = logging.getLogger(__name__)
FILE_NAME = "report.html"


def add_parser(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command on the command line."""
    added = add("report", report, help="write the HTML report of a run", about=manual.REPORT)
    about_run = "the run's id, or enough of its beginning (the newest)"
    added.add_argument("run", nargs="?", metavar="RUN", help=about_run)
    added.add_argument("--compare", metavar="RUN", help="another run to compare with (default: the champion's)")


def report(arguments: argparse.Namespace) -> int:
    """Write the report of a run in the store and print its path."""
    from flows.housekeeping import find_run

    home = open_home(arguments.home)
    record = _newest(home) if arguments.run is None else find_run(home, arguments.run)
    other = find_run(home, arguments.compare) if arguments.compare is not None else None
    print(write_report(home, record, _settings(record), model=_model(record), other=other))
    return 0


def report_run(home: Home, record: RunRecord, params: PipelineParams, *, tracker: "Tracker") -> None:
    """Write the report of a run that ends now, and log it to MLflow; whatever goes wrong here is but a warning."""
    path = report_path(home, record)
    with Contained(log, f"run {record.run_id} has no report") as writing:
        write_report(home, record, params.run, model=params.release.model_name)
        if record.status != "completed":
            log.info("report: %s", path)
    if not writing.failed:
        with Contained(log, f"MLflow has no report of run {record.run_id}"):
            tracker.client.log_artifact(tracker.run_id, str(path))


def write_report(
    home: Home, record: RunRecord, settings: RunParams, *, model: str | None, other: RunRecord | None = None
) -> Path:
    """The file of a run's report, made from what lies in the store."""
    from tasks.report.report import Rival, report_page
    from tasks.report.results import read_results
    from tasks.report.words import Words

    store = Store(home.store)
    role = Words("as asked", "指定的对照")
    rival = Rival(read_results(store, other), role) if other is not None else _rival(home, store, record, model)
    path = report_path(home, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, report_page(read_results(store, record), settings, rival))
    return path


def report_path(home: Home, record: RunRecord) -> Path:
    """Where the report of a run lies."""
    return home.reports / record.run_id / FILE_NAME


def _newest(home: Home) -> RunRecord:
    records = list(run_records(home.store))
    if not records:
        raise ParameterError(f"no runs in {home.root} yet; start one with gristmill run")
    return records[-1]


def _settings(record: RunRecord) -> RunParams:
    """The settings of a run, for power and price; the defaults where its preset is gone or means something else now."""
    try:
        return load_params(record.preset, record.overrides).run
    except ParameterError as error:
        log.info("power and price of run %s are not known: %s", record.run_id, error)
        return RunParams()


def _model(record: RunRecord) -> str | None:
    if record.model_version is not None:
        return _name_of(record.model_version)
    try:
        return load_params(record.preset, record.overrides).release.model_name
    except ParameterError:
        return None


def _rival(home: Home, store: Store, record: RunRecord, model: str | None) -> "Rival | None":
    """The champion's run; where that is this one, the one before it, else the newest earlier run of the model."""
    from tasks.report.report import Rival
    from tasks.report.results import read_results
    from tasks.report.words import Words

    others = {
        other.model_version: other
        for other in run_records(home.store)
        if other.model_version not in (None, record.model_version) and _name_of(str(other.model_version)) == model
    }
    if model is None or not others:
        return None
    roles = {"champion": Words("the champion", "当前冠军"), "previous": Words("the champion before", "前任冠军")}
    versions = _aliases(model)
    for alias, role in roles.items():
        version = f"models:/{model}/{versions.get(alias)}"
        if version in others:
            return Rival(read_results(store, others[version]), role)
    earlier = [other for other in others.values() if other.run_id < record.run_id]
    return Rival(read_results(store, earlier[-1]), Words("the run before", "上一次运行")) if earlier else None


def _aliases(model: str) -> dict[str, str]:
    """The registry's aliases of a model; none where it does not answer or does not know the model."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        aliases = MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_registered_model(model).aliases
    except (MlflowException, OSError) as error:
        log.info("the report compares with no champion: %s", str(error).splitlines()[0])
        return {}
    return {str(alias): str(version) for alias, version in aliases.items()}


def _name_of(model_version: str) -> str:
    return model_version.removeprefix("models:/").rpartition("/")[0]
