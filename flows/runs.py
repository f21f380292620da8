"""One run from begin to end: its record, its MLflow run, and the burial of runs whose process was killed."""

import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from flows.cancelling import asked_by, cancel_heeded
from flows.console import WHICH_RUN, prefect_logs
from flows.endings import announce_death, how_it_ended, told_at_end
from flows.guard import guarded, told_marker
from flows.home import Home, open_home
from flows.labels import description_of, name_of
from flows.reporting import report_run
from flows.settling import settled
from flows.sharing import share, share_rest
from flows.slots import training_slot
from params.pipeline import PipelineParams
from tasks.artifacts.lock import is_locked, lock_for_life
from tasks.artifacts.record import RUNS_FOLDER, RunRecord, remove_record, run_records
from tasks.artifacts.store import Store
from tasks.context import Run, num_cores, roots_of
from tasks.engine import Engine, units_of
from tasks.notices.redaction import redacted
from tasks.notices.sending import channels_of
from tasks.tracking import RUN_TAG, Tracker, find_run, start_tracker

log = logging.getLogger(__name__)
Status = Literal["completed", "failed", "cancelled"]

_SQLALCHEMY_SAYS_WHERE = "(raised as a result of Query-invoked autoflush"
_MLFLOW_STATUS = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


@contextmanager
def begin_run(
    params: PipelineParams, preset: str, overrides: dict[str, Any], *, until: str | None = None
) -> Iterator[Run]:
    """A run inside a Prefect flow, recorded in the store and in MLflow, whatever ends it."""
    home = open_home(params.run.home)
    record, model = RunRecord.begin(preset, overrides, flow_run_id=_flow_run_id()), params.release.model_name
    lock = _alive(home, record)
    told = told_at_end(params.notify, record, home, model=model, flow_run_url=_flow_run_url())
    lock_for_life(lock)
    with prefect_logs(), told, ExitStack() as entered:
        with _starting(record, home.store):
            store = share(Store(home.store), params.run)
            bury_dead_runs(home, params)
            engine = Engine(params.run, num_workers=params.run.workers or num_cores(), scratch=lock.with_suffix(""))
            entered.enter_context(engine)
            tracker = _start_tracker(home, params, record)
        run = Run(store, params.run, record, roots=roots_of(params), tracker=tracker, engine=engine, until=until)
        run.training_slot = training_slot
        WHICH_RUN.run = run
        run.update(record.model_copy(update={"mlflow_run_id": tracker.run_id}))
        with guarded(params.notify, record, home, lock=lock, model=model):
            try:
                _name_in_prefect(run.record)
                tracker.log_config(params)
                with cancel_heeded(record.flow_run_id):
                    yield run
            finally:
                _end(run, home, params, sys.exc_info()[1])
                WHICH_RUN.run = None
                store.release()


@contextmanager
def _starting(record: RunRecord, root: Path) -> Iterator[None]:
    """Have a record from the first instant, so that a run killed while it starts is buried too; none if it cannot."""
    record.save(root)
    has_started = False
    try:
        yield
        has_started = True
    finally:
        if not has_started:
            remove_record(root, record.run_id)


def bury_dead_runs(home: Home, params: PipelineParams) -> None:
    """Mark runs whose process is gone (kill -9, power cut) as ended, in the store, in MLflow and in Prefect.

    People are told over the channels of these parameters, unless the run's guard has told them. A run may have closed
    its books and yet have ended before Prefect heard of it: its lock is there until that has been looked after.
    """
    for record in run_records(home.store):
        lock = _alive(home, record)
        if is_locked(lock) or not (record.status == "running" or lock.exists()):
            continue
        if record.status == "running":
            log.info("run %s ended without a word (its process is gone): marked as failed", record.run_id)
            _kill_in_mlflow(record)
            _crash_in_prefect(record, "its process was killed")
            record.ended("failed", "its process is gone: killed, or the machine went down").save(home.store)
            if not told_marker(lock).exists():
                announce_death(params.notify, record, home, model=params.release.model_name)
        else:
            _crash_in_prefect(record, f"the run {record.status}, and its process ended before Prefect was told")
        for left in (lock, told_marker(lock), *units_of(lock.with_suffix(""))):
            left.unlink(missing_ok=True)


def is_alive(home: Home, record: RunRecord) -> bool:
    """Whether a run's process still lives."""
    return is_locked(_alive(home, record))


def _alive(home: Home, record: RunRecord) -> Path:
    """The file that a run's process holds locked as long as it lives; the next run removes it."""
    return home.store / RUNS_FOLDER / f"{record.run_id}.lock"


def _start_tracker(home: Home, params: PipelineParams, record: RunRecord) -> Tracker:
    tracker = start_tracker(
        os.environ["MLFLOW_TRACKING_URI"],
        experiment=params.release.model_name,
        run_name=name_of(record),
        artifact_root=home.mlflow_artifacts,
        tags={RUN_TAG: record.run_id},
    )
    tags = {
        "gristmill.preset": record.preset,
        "gristmill.host": platform.node(),
        "gristmill.pid": str(os.getpid()),
        "gristmill.store": str(home.store),
        "prefect.flow_run_id": _flow_run_id() or "",
        "prefect.flow_run_url": _flow_run_url() or "",
        "mlflow.note.content": description_of(record, _lasting_url()),
    }
    tracker.tag({key: value for key, value in tags.items() if value})
    return tracker


def _end(run: Run, home: Home, params: PipelineParams, error: BaseException | None) -> None:
    """Close the books and write the report; an interruption or a cancel is no failure."""
    from mlflow.exceptions import MlflowException

    assert run.tracker is not None, "a run of the pipeline is tracked"
    status: Status = "completed"
    if error is not None:
        status = "failed" if isinstance(error, Exception) else "cancelled"
    asked = asked_by(error, run.record.flow_run_id)
    record = run.record.ended(status, asked or _what_went_wrong(error, params), asked=asked)
    if status != "cancelled":
        record = share_rest(run.store, record)
    report_run(home, record, params, tracker=run.tracker)
    try:
        verdict = {} if asked is None else {"verdict": "asked", "stop_reason": asked}
        run.tracker.tag({"mlflow.note.content": description_of(record, _lasting_url()), **verdict})
        run.tracker.log_rows(
            [{"stage": name, **done.model_dump()} for name, done in record.stages.items()], "stages.json"
        )
        run.tracker.end(_MLFLOW_STATUS[status])
        run.update(record)
        if error is None and not settled(set(run.task_runs.values()), home):
            log.info("Prefect is slow to write down how tasks ended: its pages may show some as still under way")
    except (OSError, MlflowException) as trouble:
        if error is None:
            raise
        # The disk is full or MLflow is gone, and that is what the error under way says already.
        said = (line for line in str(trouble).splitlines() if not line.startswith(_SQLALCHEMY_SAYS_WHERE))
        why = next(said, type(trouble).__name__)
        log.warning("run %s could not be closed (%s); the next run marks it as failed", run.record.run_id, why)


def _what_went_wrong(error: BaseException | None, params: PipelineParams) -> str | None:
    """An error as the record keeps it, without the secrets of the run's channels."""
    if error is None:
        return None
    secrets = [secret for channel in channels_of(params.notify) for secret in channel.secrets]
    return redacted("\n".join(how_it_ended(error, {})[1]), secrets)


def _flow_run_id() -> str | None:
    from prefect.runtime import flow_run

    return str(flow_run.id) if flow_run.id else None


def _flow_run_url() -> str | None:
    from prefect.utilities.urls import url_for

    flow_run_id = _flow_run_id()
    return url_for("flow-run", obj_id=flow_run_id) if flow_run_id else None


def _lasting_url() -> str | None:
    """The flow run's page, where its server outlives it: that of a command ends with the command."""
    from prefect.runtime import deployment

    return _flow_run_url() if deployment.id else None


def _name_in_prefect(record: RunRecord) -> None:
    """Prefect's page of a run bears the name that MLflow and the command line have."""
    from prefect.client.orchestration import get_client

    if record.flow_run_id is not None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(record.flow_run_id), name=record.run_id)


def _kill_in_mlflow(record: RunRecord) -> None:
    """A run that was killed before it could write down its run of MLflow is known there by its tag."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    try:
        run_id = record.mlflow_run_id or find_run(client, record.run_id)
        if run_id is not None:
            client.set_tag(run_id, "gristmill.ended", "its process was killed")
            client.set_terminated(run_id, "KILLED")
    except MlflowException as error:  # deleted since, or kept on another server
        log.info("MLflow knows nothing of run %s: %s", record.run_id, error.message)


def _crash_in_prefect(record: RunRecord, why: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    if record.flow_run_id is None:
        return
    flow_run_id = UUID(record.flow_run_id)
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(flow_run_id).state
            if state is not None and not state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=why), force=True)
        except ObjectNotFound:  # the history was removed, or is kept on another server
            log.debug("Prefect knows nothing of run %s", record.run_id)
