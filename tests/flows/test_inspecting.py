"""inspect and why, on the results of a finished run."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.artifacts.record import RunRecord, run_records


def newest_run(home: Path) -> RunRecord:
    """The newest run that came to shards: other tests leave runs that did not."""
    return [record for record in run_records(home / "store") if "shard" in record.stages][-1]


@pytest.fixture
def rejected(finished, home: Path) -> list[dict[str, object]]:
    """The documents that clean rejected."""
    newest = newest_run(home)
    paths = sorted((home / "store" / "clean" / newest.stages["clean"].fingerprint).glob("rejected/*.arrow"))
    return [row for path in paths for row in pa.ipc.open_file(path).read_all().to_pylist()]


def test_kept_and_rejected_documents_stand_side_by_side_with_reasons(shell, rejected, home: Path):
    said = shell("inspect", "clean", "-n", "3", "--run", newest_run(home).run_id)
    assert said.returncode == 0, said.stderr
    assert re.search(r"kept: 3 of \d+ .* rejected: 3 of \d+", said.stdout)
    assert "(threshold" in said.stdout
    assert said.stderr == ""


def test_only_one_rule_is_shown_when_one_is_asked_for(shell, rejected, home: Path):
    rule = rejected[0]["rule"]
    number = sum(row["rule"] == rule for row in rejected)
    said = shell.here("inspect", "clean", "-n", "1", "--rule", str(rule), "--run", newest_run(home).run_id)
    assert f"rejected: 1 of {number}" in said.stdout


def test_a_stage_without_documents_shows_its_figures(finished, shell):
    said = shell.here("inspect", "train_tokenizer")
    assert said.returncode == 0, said.stderr
    assert re.search(r"^vocab_size +512$", said.stdout, re.MULTILINE)


def test_a_rejected_document_is_followed_to_the_rule(shell, rejected):
    row = rejected[0]
    said = shell("why", f"text/{row['path']}")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == f"text/{row['path']}  {row['id']}"
    assert lines[1].startswith("ingest          kept")
    assert lines[2].startswith(f"clean           dropped by {row['rule']}")


def test_a_kept_document_is_followed_to_its_blocks_and_back(finished, shell, home: Path):
    newest = newest_run(home)
    path = home / "store" / "shard" / newest.stages["shard"].fingerprint / "documents" / "train.arrow"
    row = pa.ipc.open_file(path).read_all().slice(0, 1).to_pylist()[0]
    said = shell.here("why", row["id"])
    assert said.returncode == 0, said.stderr
    assert re.search(r"^shard +tokens 0 to \d+ in block train/000000\.arrow:0", said.stdout, re.MULTILINE)
    back = shell.here("why", "train/000000.arrow:0")
    assert back.returncode == 0, back.stderr
    assert f"text/{row['path']} {row['id']}" in " ".join(back.stdout.split())


def test_what_is_not_there_is_named_with_what_there_is(finished, shell, home: Path):
    for arguments, message in (
        (("inspect", "clear", "--run", newest_run(home).run_id), "has no stage 'clear'; it has survey, ingest, clean"),
        (("inspect", "clean", "--run", "x"), "no run is named 'x'"),
        (("why", "nobody/nothing.txt"), "no document 'nobody/nothing.txt' in ingest"),
        (("why", "train/000000.arrow:999999"), "its rows are 0 to "),
        (("why", "train/000099.arrow:0"), "the shard stage wrote no train/000099.arrow"),
    ):
        said = shell.here(*arguments)
        assert said.returncode == 2
        assert message in said.stderr
        assert "Traceback" not in said.stderr
