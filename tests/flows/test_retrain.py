"""gristmill retrain on a home that has a champion: nothing new, new text, and again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from flows.servers import read_address

TOLERANT = ("--set", "release.gate.champion={mode: no_worse, margin: 8}")
NEW_TEXT = """
The miller of the town has a house by the river, and it is to this house that the farmers bring their corn in autumn.
Most of it is ground before the winter comes. What is left is kept in a barn with a roof of straw, where the mice that
live in the walls have a good time of it until the cat of the miller hears them. That cat is older than the barn door.
"""
OTHER_TEXT = """
On the hill above the village there is an old tower of stone, and nobody can say who built it or for what. In summer the
children climb up to its door, which is closed with a heavy chain. They look through the holes in the wood and tell each
other what they have seen: a stair that leads down, a table with three chairs, and on it a lamp that has just gone out.
"""


@pytest.fixture(scope="module")
def grown(shell, finished, corpus: Path, tmp_path_factory) -> tuple:
    """A copy of the finished run's home and of its text, which may grow; on the session's server."""
    root = tmp_path_factory.mktemp("grown")
    text = shutil.copytree(corpus, root / "text")
    home = root / "home"
    shutil.copytree(shell.home / "store", home / "store")
    shutil.copyfile(shell.home / "mlflow.db", home / "mlflow.db")
    address = read_address(shell.home / "prefect" / "server.json")
    env = shell.env | {"PREFECT_API_URL": address.api, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    return replace(shell, home=home, env=env), text


def retrain(grown: tuple, *more: str) -> tuple[dict, str]:
    """The record of a retraining, and what it printed."""
    shell, text = grown
    done = shell(*shell.tiny(text, *more, command="retrain"))
    assert done.returncode == 0, done.stderr
    newest = sorted((shell.home / "store" / "runs").glob("*.json"))[-1]
    return json.loads(newest.read_text()), done.stdout


@pytest.mark.parametrize("command", [("retrain",), ("up", "--nightly")])
def test_a_model_that_fills_gaps_is_refused_before_a_server_starts(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    preset = tmp_path / "gaps.yaml"
    preset.write_text("extends: tiny\ntrain: {objective: span_corruption, model: {architecture: t5}}\n")
    assert main([*command, str(preset), "--home", str(tmp_path / "home")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "training ends with span_corruption; add a phase of pairs (objective: seq2seq)" in said
    assert not (tmp_path / "home").exists()


def manifest(home: Path, record: dict, stage: str) -> dict:
    return json.loads((home / "store" / stage / record["stages"][stage]["fingerprint"] / "manifest.json").read_text())


def test_without_new_text_nothing_is_trained_and_the_run_says_so(grown):
    record, out = retrain(grown)
    assert record["status"] == "completed"
    assert "train" not in record["stages"]
    assert record["notes"] == ["no training: nothing new since models:/gristmill-tiny/1"]
    assert out.splitlines() == record["notes"]


def test_new_text_trains_on_from_the_champion_and_both_are_compared_on_old_and_new(grown):
    shell, text = grown
    for number in range(40):  # enough for the hash to put some into the test split
        words = " ".join(f"grain{number}of{index} and the" for index in range(60))
        (text / f"z-new-{number}.txt").write_text(NEW_TEXT + words + ".\n", encoding="utf-8")
    record, _ = retrain(grown, "--set", "retrain.min_new_tokens=1000", "--set", "retrain.max_forgetting=8", *TOLERANT)
    judged, compared, decided = record["notes"]
    assert judged.startswith("from the champion: about ")
    version = record["model_version"].removeprefix("models:/gristmill-tiny/")
    assert int(version) >= 2  # other tests of the home that was copied have released as well
    assert decided.startswith(f"version {version} takes the place of champion version 1")
    assert "old text " in compared
    assert "new text " in compared
    assert manifest(shell.home, record, "gather")["metrics"]["counts"]["new_docs"] == 40
    assert manifest(shell.home, record, "train")["params"]["model"]["from_weights"] is not None
    assert record["stages"]["ingest"]["reused"] is False
    again, _ = retrain(grown)
    assert again["notes"] == [f"no training: nothing new since models:/gristmill-tiny/{version}"]


def learn(grown: tuple, name: str, phases: str, examples: Path, *more: str) -> list[str]:
    """Train a model on examples as well, see that nothing is new then, and give the settings for its retrainings."""
    shell, text = grown
    settings = {"release.model_name": name, "train.phases": phases, "encode.sources": f"[{{path: '{examples}'}}]"}
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    given += ["--set", "retrain.min_new_examples=10", *more, *TOLERANT]
    done = shell(*shell.tiny(text, *given))
    assert done.returncode == 0, done.stderr
    assert retrain(grown, *given)[0]["notes"] == [f"no training: nothing new since models:/{name}/1"]
    return given


@pytest.mark.slow  # trains a chat model three times: a minute and a half on two cores
def test_a_chat_model_learns_new_examples_from_its_base_and_answers_on_after_new_text(grown, tmp_path):
    shell, text = grown
    chats = tmp_path / "chats.jsonl"
    chats.write_text("".join(json.dumps({"prompt": f"{n}?", "response": f"It is {n}."}) + "\n" for n in range(60)))
    phases = "[{name: pretrain}, {name: instruct, objective: instruct, stop: {max_epochs: 2}}]"
    more = learn(grown, "chat", phases, chats, "--set", "retrain.max_forgetting=8")
    with chats.open("a") as lines:
        lines.writelines(json.dumps({"prompt": f"Is it {n}?", "response": f"{n}, yes."}) + "\n" for n in range(10))
    first, _ = retrain(grown, *more)
    assert first["notes"][0] == "from the champion: 10 new examples, 10 asked for"
    assert (first["model_version"], first["stages"]["train.pretrain"]["reused"]) == ("models:/chat/2", True)
    instruct = manifest(shell.home, first, "train.instruct")
    assert instruct["inputs"]["model"]["fingerprint"] == first["stages"]["train.pretrain"]["fingerprint"]
    (text / "z-chat.txt").write_text(NEW_TEXT, encoding="utf-8")
    second, _ = retrain(grown, *more, "--set", "retrain.min_new_tokens=100")
    assert second["model_version"] == "models:/chat/3"
    assert list(second["stages"]).index("train.pretrain") < list(second["stages"]).index("train.instruct")
    pretrain = manifest(shell.home, second, "train.pretrain")
    assert not second["stages"]["train.pretrain"]["reused"]
    assert pretrain["params"]["model"]["from_weights"] == instruct["params"]["model"]["from_weights"]  # the same base
    assert second["notes"][-1].startswith("version 3 takes the place of champion version 2")


@pytest.mark.slow  # trains a classifier four times: two minutes on two cores
def test_a_classifier_learns_new_rows_and_a_new_label_from_its_base(grown, tmp_path):
    shell, text = grown
    rows = tmp_path / "rows.jsonl"
    told = [{"text": f"Grain {n} is {word}.", "label": word} for n in range(40) for word in ("good", "bad")]
    rows.write_text("".join(json.dumps(row) + "\n" for row in told))
    phases = "[{name: pretrain}, {name: tell, objective: classify, stop: {max_epochs: 2}}]"
    more = learn(grown, "teller", phases, rows, "--set", "release.gate.min_over_majority=null")
    with rows.open("a") as lines:
        lines.writelines(json.dumps({"text": f"Grain {n} is old.", "label": "old"}) + "\n" for n in range(20))
    first, _ = retrain(grown, *more)
    assert first["notes"][0] == "from the champion: 20 new examples, 10 asked for"
    assert (first["model_version"], first["stages"]["train.pretrain"]["reused"]) == ("models:/teller/2", True)
    assert manifest(shell.home, first, "encode.tell")["metrics"]["facts"]["labels"] == "bad, good, old"
    (text / "z-teller.txt").write_text(OTHER_TEXT, encoding="utf-8")
    second, _ = retrain(grown, *more, "--set", "retrain.min_new_tokens=100")
    assert second["notes"][0].startswith("from the champion: about ")
    assert second["model_version"] == "models:/teller/3"
    pretrain = manifest(shell.home, second, "train.pretrain")
    assert not second["stages"]["train.pretrain"]["reused"]
    assert pretrain["params"]["model"]["from_weights"] is not None
