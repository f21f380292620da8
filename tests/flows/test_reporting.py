"""gristmill report, and the report that every run leaves."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path


def records(home: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((home / "store" / "runs").glob("*.json"))]


def artifacts_of(home: Path, record: dict) -> Path:
    with closing(sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True)) as connection:
        sql = f"select artifact_uri from runs where run_uuid = '{record['mlflow_run_id']}'"
        ((uri,),) = connection.execute(sql).fetchall()
    return Path(uri.removeprefix("file://").replace("%20", " "))


def test_a_run_leaves_a_report_on_disk_and_in_mlflow_and_says_where(finished, finished_record, home: Path):
    (line,) = [line for line in finished.stdout.splitlines() if line.startswith("Read its report:")]
    path = Path(line.partition(":")[2].strip())
    record = finished_record
    assert path == home / "reports" / record["run_id"] / "report.html"
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    for section in ("data", "training", "evaluation", "variants", "gate", "samples", "stages", "lineage"):
        assert f'id="{section}"' in text
    logged = list((home / "mlflow-artifacts").rglob(f"{record['mlflow_run_id']}/artifacts/report.html"))
    assert [one.read_text() for one in logged] == [text]


def test_the_command_makes_a_report_again_against_a_run_of_choice(finished_record, shell, home: Path, corpus: Path):
    other = shell(*shell.tiny(corpus, "--set", "evaluate.bootstrap_samples=200"))  # its losses are the same
    assert other.returncode == 0, other.stderr
    first, last = finished_record, records(home)[-1]
    path = home / "reports" / first["run_id"] / "report.html"
    os.truncate(path, 0)
    made = shell("report", first["run_id"], "--compare", last["run_id"])
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"{path}\n"
    text = path.read_text()
    assert f"Against {last['run_id']}" in text
    assert "Paired bootstrap" in text


def test_a_run_that_fails_leaves_a_report_of_what_it_did(shell, home: Path, corpus: Path):
    failed = shell(*shell.tiny(corpus, "--set", "clean.words.min_words=1000000"))
    assert failed.returncode == 1
    record = records(home)[-1]
    assert record["status"] == "failed"
    assert "no text is left" in record["error"]
    path = home / "reports" / record["run_id"] / "report.html"
    assert f"report: {path}" in failed.stderr.replace("\n", "")
    assert "The run ended after ingest:" in path.read_text()


def test_a_report_of_an_unknown_run_is_refused(shell):
    refused = shell.here("report", "19990101")
    assert refused.returncode == 1 or refused.returncode == 2
    assert "no run is named '19990101'" in refused.stderr
