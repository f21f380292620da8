"""Run records."""

from pathlib import Path

import pytest

from params.errors import StoreError
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, remove_record, run_records


def result(stage: str) -> Manifest:
    return Manifest(
        stage=stage, version=1, fingerprint=f"{stage}-f", digest=f"{stage}-d", params={}, inputs={}, files=()
    )


def test_a_record_is_read_back_as_it_was_saved(tmp_path: Path):
    record = RunRecord.begin("tiny", {"train": {"seed": 7}}).with_stage(result("clean"), reused=True, wall_s=0.5)
    record.save(tmp_path)
    assert list(run_records(tmp_path)) == [record]


def test_stages_keep_the_order_in_which_they_ended():
    record = RunRecord.begin("tiny", {})
    for stage in ("survey", "ingest", "clean"):
        record = record.with_stage(result(stage), reused=False, wall_s=1)
    assert list(record.stages) == ["survey", "ingest", "clean"]


def test_records_come_oldest_first(tmp_path: Path):
    for run_id in ("20260102-000000-aaaa", "20260101-000000-bbbb", "20260101-235959-cccc"):
        RunRecord(run_id=run_id, preset="tiny", started_at="").save(tmp_path)
    assert [record.run_id[:15] for record in run_records(tmp_path)] == [
        "20260101-000000",
        "20260101-235959",
        "20260102-000000",
    ]


def test_an_ended_record_says_how_and_when():
    record = RunRecord.begin("tiny", {})
    assert (record.status, record.ended_at) == ("running", None)
    assert record.ended("failed").status == "failed"
    assert record.ended("failed").ended_at >= record.started_at


def test_a_removed_record_is_gone_and_removing_it_twice_is_no_error(tmp_path: Path):
    record = RunRecord.begin("tiny", {})
    record.save(tmp_path)
    remove_record(tmp_path, record.run_id)
    remove_record(tmp_path, record.run_id)
    assert list(run_records(tmp_path)) == []


def test_a_file_that_is_no_record_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "x.json").write_text("{}")
    with pytest.raises(StoreError, match=r"runs/x.json: not a run record (?s:.*); remove the file"):
        list(run_records(tmp_path))


def test_a_store_without_runs_has_no_records(tmp_path: Path):
    assert list(run_records(tmp_path / "missing")) == []
