"""Runs whose process is gone, and what the next one makes of them."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows.home import Home
from flows.runs import bury_dead_runs
from params.load import load_params
from tasks.artifacts.lock import lock_if_free
from tasks.artifacts.record import RunRecord, run_records
from tasks.tracking import RUN_TAG, start_tracker

# MLflow says it once a process, when its tables are read
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(autouse=True)
def mlflow_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An MLflow of its own."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def begin(prefect: Any, home: Home) -> tuple[RunRecord, Path]:
    """A run of which Prefect knows that it runs, and its lock, which nobody holds."""
    from prefect import flow
    from prefect.states import Running

    flow_run = prefect.create_flow_run(flow(name="pipeline")(lambda: None), state=Running())
    record = RunRecord.begin("tiny", {}, flow_run_id=str(flow_run.id))
    record.save(home.store)
    lock = home.store / "runs" / f"{record.run_id}.lock"
    lock.touch()
    return record, lock


def state_of(prefect: Any, record: RunRecord) -> str:
    return str(prefect.read_flow_run(UUID(record.flow_run_id)).state.name)


def test_a_run_that_ended_before_prefect_heard_of_it_is_closed_there(prefect, tmp_path: Path):
    home = Home(tmp_path)
    record, lock = begin(prefect, home)
    record.ended("failed", "the Prefect server is gone").save(home.store)
    bury_dead_runs(home, load_params("tiny"))
    assert state_of(prefect, record) == "Crashed"
    assert not lock.exists()
    assert [found.error for found in run_records(home.store)] == ["the Prefect server is gone"]


def test_a_run_killed_before_mlflow_knew_of_it_is_buried_too(prefect, tmp_path: Path):
    home = Home(tmp_path)
    record, lock = begin(prefect, home)
    bury_dead_runs(home, load_params("tiny"))
    assert state_of(prefect, record) == "Crashed"
    assert not lock.exists()
    assert [found.status for found in run_records(home.store)] == ["failed"]


def test_a_run_whose_process_lives_is_left_alone_even_when_its_books_are_closed(prefect, tmp_path: Path):
    home = Home(tmp_path)
    record, lock = begin(prefect, home)
    record.ended("completed").save(home.store)
    with lock_if_free(lock) as held:
        assert held
        bury_dead_runs(home, load_params("tiny"))
    assert state_of(prefect, record) == "Running"
    assert lock.exists()


def test_a_run_killed_before_it_could_write_down_its_run_of_mlflow_is_ended_there(mlflow_uri, tmp_path):
    home, record = Home(tmp_path / "home"), RunRecord.begin("tiny", {})
    trackers = [
        start_tracker(
            mlflow_uri, experiment="models", run_name="run", artifact_root=tmp_path / "a", tags={RUN_TAG: name}
        )
        for name in (record.run_id, "20260102-030405-abcd")
    ]
    record.save(home.store)
    bury_dead_runs(home, load_params("tiny"))
    assert [tracker.client.get_run(tracker.run_id).info.status for tracker in trackers] == ["KILLED", "RUNNING"]


BEGIN = """
import sys
from flows.runs import begin_run
from params.load import load_params

with begin_run(load_params("tiny", {"run.home": sys.argv[1]}), "tiny", {}):
    pass
"""


def test_a_run_has_its_record_before_it_looks_after_those_that_died(tmp_path: Path):
    home = Home(tmp_path)
    RunRecord.begin("tiny", {}).model_copy(update={"mlflow_run_id": "0" * 32}).save(home.store)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a server of MLflow that never answers
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        beginning = subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(tmp_path)], env=os.environ | {"MLFLOW_TRACKING_URI": uri}
        )
        try:
            silent.settimeout(240)
            silent.accept()[0].close()  # it is about to bury the dead one
            assert [record.status for record in run_records(home.store)] == ["running", "running"]
        finally:
            beginning.kill()
            beginning.wait()
