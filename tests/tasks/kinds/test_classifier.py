"""A classifier through the stages after training, to the registry, and into people's hands."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from params.errors import EvaluationError
from params.gate import ChampionParams, GateParams
from params.release import ReleaseParams
from tasks.graph.build import build_graph
from tasks.graph.served import write_companions
from tasks.kinds.classifier import Classifier
from tasks.kinds.classifier_checks import check_classifier
from tasks.kinds.kind import kind_of
from tasks.kinds.rows import held_out_rows, read_own_rows
from tasks.register import _register
from tasks.serving import gristmill_pyfunc
from tasks.serving.classifier import OnnxClassifier

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
TEXTS = ["The garden was excellent.", "这次的电影令人失望。"]
GATE = GateParams(max_loss_increase=0.5, min_agreement=0.9, max_contaminated=None)
PARAMS = ReleaseParams(model_name="labels", samples=tuple(TEXTS), gate=GATE)


@pytest.fixture(scope="module")
def rows(labelled):
    return held_out_rows(labelled.examples().folder, Classifier().read)


@pytest.fixture(scope="module")
def released(labelled):
    return labelled.release("labels", PARAMS)


@pytest.fixture(scope="module")
def told(labelled, rows):
    """What the pipeline of transformers says to the rows."""
    from transformers import pipeline

    return pipeline("text-classification", str(labelled.model().folder / "model"), device="cpu")(rows.asked)


def test_the_evaluation_says_what_the_pipeline_of_transformers_says(labelled, rows, told):
    made = labelled.evaluation()
    right = np.array([one["label"] == wanted for one, wanted in zip(told, rows.wanted, strict=True)])
    report = json.loads((made.folder / "evaluation.json").read_text())["classification"]
    assert report["docs"] == len(rows)
    assert report["accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert report["accuracy"] > 0.85 > report["majority_accuracy"]
    assert made.metrics.values["classification.accuracy"] == report["accuracy"]
    with pa.memory_map(str(made.folder / "rows" / "validation.arrow")) as source:
        kept = pa.ipc.open_file(source).read_all().to_pylist()
    assert [row["said"] for row in kept] == [one["label"] for one in told]
    assert [row["confidence"] for row in kept] == pytest.approx([one["score"] for one in told], abs=1e-5)


def test_the_graph_takes_batches_of_any_size_and_length(labelled, rows, told):
    checks = json.loads((labelled.graph().folder / "checks.json").read_text())["checks"]
    assert {check["name"] for check in checks} >= {"logits", "ragged_batch", "labels", "label_names", "tokenizer"}
    assert all(check["passed"] for check in checks)
    model = OnnxClassifier(labelled.graph().folder / "fp32")
    for number in (1, 7):
        made, right = model.classify(rows.asked[:number]), told[:number]
        assert [one["label"] for one in made] == [one["label"] for one in right]
        assert [one["probability"] for one in made] == pytest.approx([one["score"] for one in right], abs=1e-5)
        assert all(sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5) for one in made)


def test_a_graph_with_other_weights_fails_its_checks(labelled, rows, tmp_path):
    other = tmp_path / "other"
    labelled.train(other, 1)
    served = labelled.graph().folder / "fp32"
    checks = check_classifier(served, other / "model", rows.some(8), max_logit_difference=1e-3)
    failed = [check.name for check in checks if not check.passed]
    assert failed[:2] == ["logits", "ragged_batch"]


def test_variants_are_smaller_and_judged_by_the_same_rows(labelled):
    quality = json.loads((labelled.variants().folder / "quality.json").read_text())
    assert quality["int4"]["bytes"] < quality["int8"]["bytes"] < quality["fp16"]["bytes"] < quality["fp32"]["bytes"]
    assert quality["int8"]["top1_agreement"] > 0.97
    assert abs(quality["int8"]["loss_increase"]) < 0.02
    assert "greedy_agreement" not in quality["int8"]
    assert labelled.variants().metrics.values["int8_texts_per_s"] > 0


def test_the_bundle_holds_the_labels_and_its_gate_tells_every_check(released):
    bundle = released.folder / "bundle"
    facts = json.loads((bundle / "bundle.json").read_text())
    assert (facts["kind"], facts["figure"], facts["gate_passed"]) == (
        "classifier", "served.classification.accuracy", True,
    )  # fmt: skip
    gate = {check["name"] for check in json.loads((bundle / "gate.json").read_text())["checks"]}
    assert gate >= {
        "served.classification.accuracy",
        "served.classification.over_majority_low",
        "served.classification.agreement with the trained model",
    }
    samples = json.loads((bundle / "samples.json").read_text())
    assert [sample["continuation"].split()[0] for sample in samples] == ["positive", "negative"]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert 'python classify.py "your text"' in card
    assert not (bundle / "generate.py").exists()


def test_the_bundle_labels_texts_where_gristmill_is_not_installed(released, tmp_path):
    bundle = released.folder / "bundle"
    alone = [sys.executable, "-I", str(bundle / "classify.py"), *TEXTS]
    done = subprocess.run(alone, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["positive", "negative"]
    shutil.copy(gristmill_pyfunc.__file__, tmp_path)
    code = (
        "import sys; sys.modules['tasks'] = sys.modules['params'] = None; import gristmill_pyfunc as loader; "
        f"print([one['label'] for one in loader._load_pyfunc({str(bundle)!r}).predict({TEXTS!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "['positive', 'negative']\n"


def test_the_registry_compares_classifiers_pair_by_pair_and_serves_labels(labelled, released, tracked):
    import mlflow
    import pandas

    first = _register(PARAMS, released, labelled.evaluation(), run=tracked)
    assert first.aliases == ("challenger", "champion")
    about = tracked.tracker.client.get_model_version("labels", 1).description
    assert " accuracy on its held-out rows (int8); gate passed" in about
    again = ReleaseParams(**PARAMS.model_dump() | {"gate": GATE.model_copy(update={"champion": NO_WORSE})})
    other = labelled.release("other-rows", again, salt="other")
    second = _register(again, other, labelled.evaluation("other"), run=tracked)
    assert second.decision.startswith("version 2 takes the place of champion version 1: ")
    assert "accuracy against" in second.decision
    assert "(served.classification.accuracy: a classifier is judged by held-out rows)" in second.decision
    model = mlflow.pyfunc.load_model("models:/labels@champion")
    assert [one["label"] for one in model.predict(pandas.DataFrame({"text": TEXTS}))] == ["positive", "negative"]
    assert model.metadata.signature.inputs.input_names() == ["text"]


NO_WORSE = ChampionParams(mode="no_worse", margin=0.0)


def test_a_classifier_never_replaces_a_language_model(released, labelled, candidate, tracked):
    candidate("mixed", "writer", 1.5)
    params = PARAMS.model_copy(update={"model_name": "mixed"})
    made = _register(params, released, labelled.evaluation(), run=tracked)
    assert made.decision == (
        "version 2 is not promoted, its gate failed: the champion is a language model and this model is a classifier: "
        "release it under a name of its own"
    )


def test_rows_of_a_file_may_have_labels_that_the_model_does_not_know(labelled, tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    lines = [{"text": TEXTS[0], "label": "positive"}, {"text": "Who knows?", "label": "neutral"}, {"text": "no label"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kind = kind_of(labelled.graph().folder / "fp32")
    rows = read_own_rows(path, kind.read)
    assert "1 rows are left out, the first at line 3" in caplog.text
    scores = kind.served(labelled.graph().folder / "fp32", threads=1).score(rows)
    assert scores.is_right.tolist() == [True, False]
    assert np.isfinite(scores.nats).all()
    path.write_text('{"text": "no label"}\n')
    with pytest.raises(EvaluationError, match="has no row to measure on: line 1: there is none of label"):
        read_own_rows(path, kind.read)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bloom"])
def test_classifiers_of_every_architecture_are_exported(labelled, rows, tmp_path, architecture):
    labelled.train(tmp_path, 30, architecture=architecture)
    served = tmp_path / "fp32"
    build_graph(tmp_path / "model", served, opset=21, log_path=tmp_path / "export.log")
    write_companions(tmp_path / "model", served, context=64)
    checks = check_classifier(served, tmp_path / "model", rows.some(16), max_logit_difference=1e-3)
    assert [check.name for check in checks if not check.passed] == []
