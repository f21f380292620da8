"""gristmill run, from text to a registered model, as a user runs it."""

import json
import os
import signal
import sqlite3
import subprocess
import uuid
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

STAGES = ["survey", "ingest", "clean", "dedup", "split", "decontaminate", "train_tokenizer", "shard"]
STAGES += ["train", "evaluate", "export", "compress", "release"]


def query(database: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def records(home: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((home / "store" / "runs").glob("*.json"))]


def record_of(run: subprocess.CompletedProcess, home: Path) -> dict:
    run_id = run.stdout.split("Run ")[1].split()[0]
    return next(record for record in records(home) if record["run_id"] == run_id)


def test_a_run_ends_with_a_report_of_stages_quality_version_and_samples(finished: subprocess.CompletedProcess):
    assert finished.returncode == 0
    for stage in STAGES:
        assert f"│ {stage} " in finished.stdout
    assert finished.stdout.count(" made ") >= len(STAGES)
    assert "Training stopped: budget (12 steps done)" in finished.stdout
    assert "Registered: gristmill-tiny version 1" in finished.stdout
    assert "│ int8 " in finished.stdout
    for prompt in ("The function returns", "This package provides", "To install"):
        assert f"\n  {prompt} | " in finished.stdout
    assert "gristmill ui" in finished.stdout
    assert max(len(line) for line in finished.stdout.splitlines() if not line.startswith("Read its report:")) <= 100


def test_the_console_shows_our_progress_and_no_line_of_a_library(finished: subprocess.CompletedProcess):
    lines = finished.stderr.splitlines()
    assert lines
    assert [line for line in lines if line[2:3] != ":" or line[5:6] != ":"] == []
    assert [line for line in lines if "warning" in line.lower() or "error" in line.lower()] == []
    for stage in STAGES:
        assert any(f"{stage}: starts" in line for line in lines)


def test_the_log_file_keeps_what_the_libraries_say_too(finished: subprocess.CompletedProcess, home: Path):
    kept = (home / "logs" / "gristmill.log").read_text()
    assert "INFO tasks.stage: clean: starts" in kept
    assert "INFO prefect.flow_runs: Finished in state Completed()" in kept


@pytest.fixture(scope="module")
def again(finished, shell, corpus: Path) -> subprocess.CompletedProcess:
    """The same run once more, by one worker."""
    return shell(*shell.tiny(corpus, "--set", "run.workers=1"))


def test_a_second_run_reuses_every_result_and_registers_nothing_new(again):
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("│ reused │") == len(STAGES)
    assert "Registered: gristmill-tiny version 1" in again.stdout


def test_mlflow_has_configuration_figures_curves_and_the_link_to_prefect(finished, home: Path):
    database = home / "mlflow.db"
    first = record_of(finished, home)
    run_id = first["mlflow_run_id"]
    ((status, name),) = query(database, f"select status, name from runs where run_uuid = '{run_id}'")
    assert (status, name.split()[0], name.split()[-1]) == ("FINISHED", "stop.max_steps=12,", first["run_id"])
    tags = dict(query(database, f"select key, value from tags where run_uuid = '{run_id}'"))
    assert tags["verdict"] == "budget"
    assert tags["stop_reason"] == "12 steps done"
    assert tags["model_version"] == "gristmill-tiny 1"
    assert tags["prefect.flow_run_id"] == first["flow_run_id"]
    metrics = {row[0] for row in query(database, f"select key from latest_metrics where run_uuid = '{run_id}'")}
    assert {"clean/docs_in", "train/loss", "evaluate.test/bits_per_byte", "all/served_mb"} <= metrics
    assert {f"{stage}/seconds" for stage in STAGES} <= metrics
    assert query(database, f"select value from params where run_uuid = '{run_id}' and key = 'cfg.train.seed'") == [
        ("1",)
    ]


def test_prefect_has_every_task_the_log_and_the_stage_table(finished, home: Path):
    flow_run = record_of(finished, home)["flow_run_id"]
    database = home / "prefect" / "prefect.db"
    assert query(database, f"select state_name from flow_run where id = '{flow_run}'") == [("Completed",)]
    states = query(database, f"select name, state_name from task_run where flow_run_id = '{flow_run}'")
    assert {(stage, "Completed") for stage in [*STAGES, "register"]} <= set(states)
    assert {state for _, state in states} == {"Completed"}
    messages = [row[0] for row in query(database, f"select message from log where flow_run_id = '{flow_run}'")]
    assert "clean: starts" in messages
    ((table,),) = query(database, f"select data from artifact where flow_run_id = '{flow_run}' and key = 'stages'")
    assert [row["stage"] for row in json.loads(json.loads(table))] == STAGES


def test_prefect_draws_from_each_stage_an_arrow_to_the_next(finished, home: Path):
    flow_run = record_of(finished, home)["flow_run_id"]
    sql = f"select id, name, task_inputs from task_run where flow_run_id = '{flow_run}'"
    rows = query(home / "prefect" / "prefect.db", sql)
    names = {uuid.UUID(found): name for found, name, _ in rows}
    waited = {
        name: {names[uuid.UUID(one["id"])] for one in json.loads(inputs).get("wait_for", [])}
        for _, name, inputs in rows
    }
    stages = [stage for stage in STAGES if stage != "export"]
    in_a_row = {later: {earlier} for earlier, later in pairwise(stages[: stages.index("evaluate") + 1])}
    assert {stage: waited[stage] for stage in in_a_row} == in_a_row
    assert (waited["export"], waited["compress"]) == ({"train"}, {"export"})
    assert (waited["release"], waited["register"]) == ({"evaluate", "compress"}, {"release"})


def test_prefect_has_what_each_source_lost_by_which_rule(finished, home: Path):
    flow_run = record_of(finished, home)["flow_run_id"]
    sql = f"select data from artifact where flow_run_id = '{flow_run}' and key = 'clean-by-source'"
    ((table,),) = query(home / "prefect" / "prefect.db", sql)
    kept, *lost = json.loads(json.loads(table))
    assert (kept["source"], kept["rule"]) == ("text", "kept")
    assert sum(row["documents"] for row in [kept, *lost]) == round(kept["documents"] / kept["share"])


def test_a_stage_reused_shows_as_such_in_prefect(again, home: Path):
    flow_run = record_of(again, home)["flow_run_id"]
    sql = f"select name from task_run where flow_run_id = '{flow_run}' and state_name = 'Reused'"
    assert {row[0] for row in query(home / "prefect" / "prefect.db", sql)} == set(STAGES)


def read_until(process: subprocess.Popen, text: str) -> None:
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the command ended before it said {text!r}")


def test_a_run_that_was_killed_is_buried_by_the_next_which_goes_on(finished, shell, corpus: Path, home: Path):
    arguments = shell.tiny(corpus, "--set", "clean.words.min_words=18")  # no topic has so few
    with shell.start(*arguments) as process:
        read_until(process, "clean: starts")
        os.kill(process.pid, signal.SIGKILL)
    dead = records(home)[-1]
    assert dead["status"] == "running"
    assert "killed" in shell.here("runs").stdout
    again = shell(*arguments)
    assert again.returncode == 0, again.stderr
    assert f"run {dead['run_id']} ended without a word" in again.stderr
    assert next(record for record in records(home) if record["run_id"] == dead["run_id"])["status"] == "failed"
    assert query(home / "mlflow.db", f"select status from runs where run_uuid = '{dead['mlflow_run_id']}'") == [
        ("KILLED",)
    ]
    sql = f"select state_name from flow_run where id = '{dead['flow_run_id']}'"
    assert query(home / "prefect" / "prefect.db", sql) == [("Crashed",)]


def test_ctrl_c_ends_with_130_a_cancelled_run_and_no_traceback(finished, shell, corpus: Path, home: Path):
    with shell.start(*shell.tiny(corpus, "--set", "train.seed=3")) as process:
        read_until(process, "train: starts")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=1800)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1].startswith("gristmill: interrupted; finished stages are kept")
    last = records(home)[-1]
    assert last["status"] == "cancelled"
    assert query(home / "mlflow.db", f"select status from runs where run_uuid = '{last['mlflow_run_id']}'") == [
        ("KILLED",)
    ]


def test_two_runs_at_once_share_the_work_and_a_change_without_effect_goes_no_further(
    finished, shell, corpus: Path, home: Path
):
    arguments = shell.tiny(corpus, "--set", "clean.words.min_words=19")  # no topic has 19 words
    with shell.start(*arguments) as first, shell.start(*arguments) as second:
        ends = [process.communicate(timeout=1800) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), ends
    pair = records(home)[-2:]
    made = [stage for record in pair for stage, done in record["stages"].items() if not done["reused"]]
    assert made == ["clean"]


def test_text_given_on_the_command_line_replaces_the_sources_under_names_of_its_own():
    from flows.cli import parser
    from flows.running import overrides_of

    given = ["run", "tiny", "--text", "/data/我的 text", "--text", "/a/books.jsonl", "--text", "/b/books.jsonl"]
    overrides = overrides_of(parser().parse_args([*given, "--name", "mine", "--set", "train.seed=7"]))
    assert overrides["survey"]["sources"] == [
        {"name": "text", "path": "/data/我的 text"},
        {"name": "books", "path": "/a/books.jsonl"},
        {"name": "books-2", "path": "/b/books.jsonl"},
    ]
    assert overrides["release"] == {"model_name": "mine"}
    assert overrides["train"] == {"seed": 7}
