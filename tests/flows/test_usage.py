"""What stages took, over several runs."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows.usage import UsageRow, usage_rows
from tasks.artifacts.record import RunRecord, StageRecord


def record(run_id: str, **stages: StageRecord) -> RunRecord:
    return RunRecord(run_id=run_id, preset="p", started_at="", stages=stages)


def done(**figures: float) -> StageRecord:
    return StageRecord(fingerprint="f", digest="d", reused=not figures, wall_s=figures.pop("wall_s", 0.1), **figures)


def test_a_stage_that_was_reused_took_nothing_and_one_not_come_to_has_no_figure():
    records = [
        record("a", clean=done(wall_s=8.0, cpu_s=15.0, peak_rss_mb=300.0, disk_mb=2.0), train=done(wall_s=60.0)),
        record("b", clean=done()),
        record("c", clean=done(wall_s=4.0, cpu_s=7.5, peak_rss_mb=310.0, disk_mb=2.5, cost=0.01)),
    ]
    assert list(usage_rows(records)) == [
        UsageRow("wall_s", "clean", (8.0, None, 4.0)),
        UsageRow("wall_s", "train", (60.0, None, None)),
        UsageRow("cpu_s", "clean", (15.0, None, 7.5)),
        UsageRow("peak_rss_mb", "clean", (300.0, None, 310.0)),
        UsageRow("disk_mb", "clean", (2.0, None, 2.5)),
        UsageRow("cost", "clean", (None, None, 0.01)),
    ]


def test_the_figures_of_a_finished_run_are_printed_and_in_prefect(finished, shell, finished_record, home: Path):
    said = shell.here("runs", "usage", "--preset", "tiny")
    assert said.returncode == 0, said.stderr
    titles = [line for line in said.stdout.splitlines() if line and line[0].isalpha()]
    assert [title.strip() for title in titles] == ["Seconds", "CPU seconds", "Peak MB", "Disk MB"]
    train = finished_record["stages"]["train"]
    assert train["cpu_s"] > 0
    assert train["peak_rss_mb"] > 0
    sql = f"select data from artifact where key = 'usage' and flow_run_id = '{finished_record['flow_run_id']}'"
    with closing(sqlite3.connect(f"file:{home / 'prefect' / 'prefect.db'}?mode=ro", uri=True)) as database:
        ((table,),) = database.execute(sql).fetchall()
    rows = {(row["stage"], row["figure"]): row for row in json.loads(json.loads(table))}
    assert float(rows["train", "CPU seconds"][finished_record["run_id"]]) == pytest.approx(train["cpu_s"], abs=0.051)
