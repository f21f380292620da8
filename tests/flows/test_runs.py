"""Runs whose process is gone, and what the next one makes of them."""

from pathlib import Path
from typing import Any
from uuid import UUID

from flows.home import Home
from flows.runs import bury_dead_runs
from params.load import load_params
from tasks.artifacts.lock import lock_if_free
from tasks.artifacts.record import RunRecord, run_records


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
