"""estimate, as it is printed and as JSON."""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flows.estimating import estimate_run
from params.errors import ParameterError

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n" * 400


@pytest.fixture
def arguments(tmp_path: Path) -> argparse.Namespace:
    """The tiny preset on a text of 29 kB, on eight H100."""
    (tmp_path / "poem.txt").write_text(POEM, encoding="utf-8")
    settings: dict[str, Any] = {
        "preset": "tiny",
        "set": [],
        "text": [tmp_path / "poem.txt"],
        "name": None,
        "home": tmp_path / "home",
        "on": "h100x8",
        "price": 2.5,
        "watts": None,
        "json": False,
        "no_trial": False,
    }
    return argparse.Namespace(**settings)


def test_every_line_fits_eighty_columns_of_a_terminal(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert estimate_run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("ZeRO-3 / FSDP" in line and line.count(".") == 7 for line in lines) == 2


def test_what_is_printed_names_tokens_money_and_assumptions(arguments, capsys):
    assert estimate_run(arguments) == 0
    said = capsys.readouterr().out
    assert "Estimate of tiny on 8 x H100 SXM 80 GB" in said
    assert "30.7 k in 60 steps" in said  # 8 blocks of 64
    assert "2.5 $ an hour and device, as given" in said
    assert "0.0 MB raw, 70% assumed to be kept" in said
    assert not arguments.home.exists()


def test_json_has_every_figure(arguments, capsys):
    arguments.json = True
    assert estimate_run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["tokens"] == 60 * 8 * 64
    assert found["fits"] is True
    assert found["dollars"] == pytest.approx(2.5 * found["device_hours"])


def test_each_phase_of_training_is_estimated(arguments, capsys):
    arguments.set = ["train.phases=[{name: base}, {name: more, stop: {max_steps: 9}}]"]
    arguments.json = True
    assert estimate_run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["title"], one["plan"]["steps"]) for one in found] == [
        ("tiny, phase base", 60),
        ("tiny, phase more", 9),
    ]


def test_epochs_of_a_phase_are_passes_over_its_examples(arguments, capsys, tmp_path):
    rows = [json.dumps({"prompt": f"What is {n}?", "response": "A number of the poem."}) + "\n" for n in range(400)]
    (tmp_path / "chats.jsonl").write_text("".join(rows))
    arguments.set = [
        "train.phases=[{name: base}, {name: chat, objective: instruct, stop: {max_epochs: 3}}]",
        f"encode.sources=[{{path: '{tmp_path / 'chats.jsonl'}'}}]",
    ]
    arguments.json = True
    assert estimate_run(arguments) == 0
    plan = json.loads(capsys.readouterr().out)[1]["plan"]
    tokens = 0.9 * len("".join(rows)) / 2.596  # a vocabulary of 512 is assumed to need so many bytes a token
    assert plan["epochs"] == pytest.approx(3, rel=0.01)
    assert plan["steps"] == pytest.approx(3 * tokens / 64 / 8, abs=2)


def test_the_example_price_is_marked_as_one(arguments, capsys):
    arguments.price = None
    assert estimate_run(arguments) == 0
    assert "example: lowest listed RunPod rate" in " ".join(capsys.readouterr().out.split())


def test_what_does_not_fit_is_told_with_what_would(arguments, capsys):
    arguments.on = "rtx3090"
    arguments.set = ["train.model.layers=32", "train.model.width=4096", "train.model.heads=32"]
    assert estimate_run(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "DOES NOT FIT: 24.0 GiB there; " in said
    assert "--set train.model.layers=" in said


def test_for_this_machine_without_a_trial_the_matrix_peak_tells_the_time(arguments, capsys):
    arguments.on, arguments.no_trial = None, True
    assert estimate_run(arguments) == 0
    said = capsys.readouterr()
    assert "Estimate of tiny on " in said.out
    assert "of the matrix peak measured here" in " ".join(said.out.split())
    assert not arguments.home.exists()
    assert said.err == ""


def test_an_unknown_accelerator_is_an_error(arguments):
    arguments.on = "abacus"
    with pytest.raises(ParameterError, match="--on abacus: no such accelerator"):
        estimate_run(arguments)


def test_after_a_run_tokens_are_counted_not_assumed(finished, shell, corpus, arguments, capsys):
    command = shell.tiny(corpus)
    arguments.set = [value for flag, value in pairwise(command) if flag == "--set"]
    arguments.text, arguments.home, arguments.json = [], shell.home, True
    assert estimate_run(arguments) == 0
    found = json.loads(capsys.readouterr().out)["corpus"]
    assert found["vocab_size"] == 512
    (note,) = found["notes"]
    assert note == f"text: {found['train_tokens']:,} training tokens, counted by the shard stage"
