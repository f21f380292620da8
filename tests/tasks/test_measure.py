"""The same evaluation for any model, logged to a real MLflow on sqlite."""

import pytest

from params.errors import EvaluationError, ParameterError
from tasks.measure import measure

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
FAST = {"bootstrap_samples": 100}


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
    name = "evaluate.held-out.bits_per_byte"
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
    with pytest.raises(ParameterError, match=r"evaluate\.max_docs = 3"):
        measure(str(workshop.model("qwen3").folder), [texts], {"max_docs": 3}, store=tracked.store)
