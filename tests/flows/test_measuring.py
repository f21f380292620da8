"""evaluate, promote and registry on the command line, with the model of a finished run."""

import json
from pathlib import Path


def test_a_variant_is_measured_on_the_test_documents_of_its_run(finished, shell, tmp_path: Path):
    out = tmp_path / "figures.json"
    said = shell("evaluate", "gristmill-tiny@champion", "--variant", "fp32", "--out", str(out))
    assert said.returncode == 0, said.stderr
    assert "test.bits_per_byte" in said.stdout
    report = json.loads(out.read_text())
    assert report["model"]["kind"] == "fp32"
    stored = next(shell.home.glob("store/evaluate/*/evaluation.json"))
    trained = json.loads(stored.read_text())["test"]
    assert abs(report["test"]["loss"] - trained["loss"]) < 1e-4
    assert report["test"]["num_bytes"] == trained["num_bytes"]


def test_the_champion_and_the_decision_about_it_are_listed(finished, shell):
    said = shell("registry", "gristmill-tiny")
    assert said.returncode == 0, said.stderr
    assert "@challenger, @champion" in said.stdout
    assert "promote" in said.stdout
    again = shell("promote", "gristmill-tiny@champion")
    assert again.returncode == 0, again.stderr
    assert "version 1 is the champion" in again.stdout


def test_an_override_without_a_reason_is_refused(lone_shell):
    said = lone_shell("promote", "any", "--override")
    assert said.returncode == 2
    assert "needs --reason" in said.stderr
