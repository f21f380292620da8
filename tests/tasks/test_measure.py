"""The same evaluation for any model, logged to a real MLflow on sqlite."""

import json
from shutil import copyfile, copytree

import pytest

from params.errors import EvaluationError, ParameterError
from tasks.artifacts.record import RunRecord
from tasks.measure import measure

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
FAST = {"bootstrap_samples": 100}
TEMPLATE = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "held-out.txt"
    path.write_text("The mill grinds the grain into flour, and the baker makes bread of it.")
    return str(path)


@pytest.fixture(autouse=True)
def own_mlflow(tracked, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())


def test_a_registered_version_and_the_folder_it_came_from_have_the_same_figures_in_mlflow(candidate, tracked, texts):
    candidate("measured", "one", 1.5)
    store = tracked.store
    by_address = measure("measured/1", [texts], FAST, store=store, variant="transformers")
    folder = candidate.workshop.model("qwen3").folder
    by_path = measure(str(folder), [texts], FAST, store=store)
    name = "evaluate.held-out/bits_per_byte"
    runs = [tracked.tracker.client.get_run(found.mlflow_run_id) for found in (by_address, by_path)]
    assert runs[0].data.metrics[name] == runs[1].data.metrics[name]
    assert runs[0].data.metrics[name] == pytest.approx(by_path.report["held-out"]["bits_per_byte"])
    model_id = tracked.tracker.client.get_model_version("measured", "1").source.removeprefix("models:/")
    logged = {metric.key for metric in tracked.tracker.client.get_logged_model(model_id).metrics}
    assert name in logged


def test_without_text_to_measure_on_the_option_is_named(workshop, tracked):
    with pytest.raises(EvaluationError, match="say with --on what to measure it on"):
        measure(str(workshop.model("qwen3").folder), store=tracked.store)


def test_what_is_no_model_and_what_is_no_parameter_are_told(workshop, tracked, texts):
    with pytest.raises(ParameterError, match="nowhere is no path, no run of"):
        measure("nowhere", [texts], store=tracked.store)
    with pytest.raises(ParameterError, match=r"unknown key evaluate.max_docs; did you mean max_documents\?"):
        measure(str(workshop.model("qwen3").folder), [texts], {"max_docs": 3}, store=tracked.store)


@pytest.fixture
def quizzed(workshop, run, seal, tmp_path):
    """The model of a run that asked a quiz, and the file of the quiz; results know the file by digest alone."""
    model = seal("train", lambda out: copytree(workshop.model("qwen3").folder / "model", out / "model"))
    asked = {"name": "sayings", "path": str(tmp_path / "sayings.jsonl"), "kind": "cloze"}
    (tmp_path / "sayings.jsonl").write_text(json.dumps({"prompt": "The function", "target": " returns"}) + "\n")
    evaluated = seal("evaluate", lambda out: None, params={"quizzes": [asked | {"path": "0" * 64}]})
    record = RunRecord.begin("tiny", {"evaluate": {"quizzes": [asked]}})
    for made in (model, evaluated):
        record = record.with_stage(made, reused=False, wall_s=1.0)
    record.save(run.store.root)
    return model.folder / "model", tmp_path / "sayings.jsonl"


def test_a_model_of_a_run_is_asked_the_quizzes_of_that_run_from_their_files(quizzed, run, texts):
    report = measure(str(quizzed[0]), [texts], FAST, store=run.store).report
    assert report["quiz"]["sayings"]["accuracy"] == 1.0


def test_quizzes_of_a_run_whose_files_are_gone_are_left_out_with_a_word(quizzed, run, texts, caplog):
    quizzed[1].unlink()
    assert "quiz" not in measure(str(quizzed[0]), [texts], FAST, store=run.store).report
    assert "its quizzes and tasks are left out: evaluate.quizzes: sayings" in caplog.text


def test_a_chat_model_is_asked_what_its_run_held_out_and_another_what_a_named_run_did(workshop, run, seal, texts):
    plain = seal("train", lambda out: copytree(workshop.model("qwen3").folder / "model", out / "model"))
    chat = seal("train", lambda out: copytree(plain.folder / "model", out / "model"), params={"chat": True})
    (chat.folder / "model" / "chat_template.jinja").write_text(TEMPLATE)
    held_out = workshop.examples().folder / "held_out.jsonl"
    examples = seal("encode", lambda out: copyfile(held_out, out / "held_out.jsonl"), params={"objective": "instruct"})
    documents = seal("decontaminate", lambda out: copytree(workshop.splits().folder / "test", out / "test"))
    record = RunRecord.begin("tiny", {})
    for made in (documents, examples, chat):
        record = record.with_stage(made, reused=False, wall_s=1.0)
    record.save(run.store.root)
    report = measure(str(chat.folder / "model"), [record.run_id], FAST, store=run.store).report
    said = ("run pip install gristmill.", "a list of numbers.")
    assert (report["answers"]["docs"], report["answers"]["num_bytes"]) == (2, sum(map(len, said)))
    asked = measure(str(plain.folder / "model"), [record.run_id, texts], FAST, store=run.store).report
    assert "answers" not in asked  # it has no chat template
    assert "answers" not in measure(str(chat.folder / "model"), [texts], FAST, store=run.store).report
