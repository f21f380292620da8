"""evaluate, promote and registry on the command line, with the model of a finished run."""

import json
import re
from pathlib import Path

import pytest

from flows import cli

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def test_a_variant_is_measured_on_the_test_documents_of_its_run(finished_record, shell, tmp_path: Path):
    out = tmp_path / "figures.json"
    said = shell("evaluate", finished_record["model_version"], "--variant", "fp32", "--out", str(out))
    assert said.returncode == 0, said.stderr
    assert "test.bits_per_byte" in said.stdout
    report = json.loads(out.read_text())
    assert report["model"]["kind"] == "fp32"
    stored = shell.home / "store" / "evaluate" / finished_record["stages"]["evaluate"]["fingerprint"]
    trained = json.loads((stored / "evaluation.json").read_text())["test"]
    assert abs(report["test"]["loss"] - trained["loss"]) < 1e-4
    assert report["test"]["num_bytes"] == trained["num_bytes"]


def test_the_champion_and_the_decision_about_it_are_listed(finished, shell):
    said = shell("registry", "gristmill-tiny")
    assert said.returncode == 0, said.stderr
    assert "@champion" in said.stdout
    assert "promote" in said.stdout
    again = shell.here("promote", "gristmill-tiny@champion")
    assert again.returncode == 0, again.stderr
    assert re.search(r"version \d+ is the champion", again.stdout)


def test_a_place_for_the_report_that_cannot_be_written_is_refused_before_measuring(tmp_path, capsys):
    assert cli.main(["evaluate", "any", "--out", str(tmp_path / "no" / "report.json"), "--home", str(tmp_path)]) == 2
    assert "report.json: cannot be written (No such file or directory); name another" in capsys.readouterr().err


def test_a_measurement_that_fails_leaves_no_file(tmp_path, lone_shell):
    said = lone_shell("evaluate", str(tmp_path / "no-model"), "--out", str(tmp_path / "report.json"))
    assert said.returncode != 0
    assert "no-model" in said.stderr
    assert not (tmp_path / "report.json").exists()


def test_an_override_without_a_reason_is_refused(lone_shell):
    said = lone_shell.here("promote", "any", "--override")
    assert said.returncode == 2
    assert "needs --reason" in said.stderr
