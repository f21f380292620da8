"""plan and explain on the store of a finished run."""

from pathlib import Path

STAGES = 13


def test_before_the_first_run_everything_would_run(lone_shell, corpus: Path):
    said = lone_shell(*lone_shell.tiny(corpus, command="plan"))
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("│ run ") == STAGES
    assert said.stdout.splitlines()[-1] == "13 of 13 stages would run."
    assert said.stderr == ""
    assert not lone_shell.home.exists()


def test_after_a_run_everything_would_be_reused(finished, shell, corpus: Path):
    said = shell.here(*shell.tiny(corpus, command="plan"))
    assert said.stdout.count("│ be reused ") == STAGES
    assert said.stdout.splitlines()[-1] == "0 of 13 stages would run."


def test_explain_names_the_parameter_and_what_comes_after_it(finished, shell, corpus: Path):
    said = shell(*shell.tiny(corpus, "--set", "train.seed=99", command="explain"))
    assert said.returncode == 0, said.stderr
    lines = [line.split(maxsplit=1) for line in said.stdout.splitlines()]
    assert ["train", "would run"] in lines
    assert "seed: " in said.stdout
    assert " -> 99" in said.stdout
    assert ["shard", "would be reused"] in lines
    assert "after train: reused if they make the same bytes as before" in said.stdout
    assert lines[-1] == ["5", "of 13 stages would run."]


def test_a_setting_of_the_machine_makes_nothing_run(finished, shell, corpus: Path):
    said = shell.here(*shell.tiny(corpus, "--set", "run.workers=1", "--set", "run.threads=1", command="explain"))
    assert said.stdout.splitlines()[-1] == "0 of 13 stages would run."


def test_a_file_added_to_the_text_is_seen(finished, shell, corpus: Path, tmp_path: Path):
    for path in corpus.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "new.txt").write_text("A new document.")
    said = shell.here(*shell.tiny(tmp_path, command="explain"))
    assert "survey          would run" in said.stdout
    assert said.stdout.splitlines()[-1] == "13 of 13 stages would run."


def test_a_run_that_ends_with_a_classifier_plans_its_release_too(lone_shell, corpus: Path):
    sources = "encode.sources=[{path: gristmill-examples/sentiment.jsonl}]"
    labels = ("--set", "train.objective=classify", "--set", sources)
    said = lone_shell.here(*lone_shell.tiny(corpus, *labels, command="plan"))
    assert said.returncode == 0, said.stderr
    assert "│ encode " in said.stdout
    assert said.stdout.splitlines()[-1] == "14 of 14 stages would run."
    assert "│ release " in said.stdout


def test_examples_that_are_not_there_are_missed_before_anything_runs(shell, corpus: Path):
    chats = ("--set", "train.objective=instruct", "--set", "encode.sources=[{path: nowhere.jsonl}]")
    said = shell(*shell.tiny(corpus, *chats))
    assert said.returncode == 1
    assert "nowhere.jsonl does not exist; set path to a file or a folder of examples" in said.stderr
    assert "survey: starts" not in said.stderr
