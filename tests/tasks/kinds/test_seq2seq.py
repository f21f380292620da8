"""An encoder-decoder through the stages after training, and into people's hands."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from params.gate import GateParams
from params.release import ReleaseParams
from tasks.kinds.rows import Rows, held_out_rows
from tasks.kinds.seq2seq import Seq2Seq
from tasks.register import _register
from tasks.serving.generator import OnnxModel, PromptError
from tasks.serving.local import LocalModel

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
GATE = GateParams(max_loss_increase=0.5, min_agreement=0.5, max_contaminated=None)
PARAMS = ReleaseParams(model_name="pairs", samples=("reverse: flour field water",), gate=GATE)


@pytest.fixture(scope="module")
def rows(paired):
    return held_out_rows(paired.examples().folder, Seq2Seq().read).some(12)


@pytest.fixture(scope="module")
def released(paired):
    return paired.release("pairs", PARAMS)


@pytest.fixture(scope="module")
def right(paired, rows):
    """Loss of the targets and greedy texts by transformers, row by row."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = paired.model().folder / "model"
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    nats, said, targets = [], [], 0
    longest = max(len(tokenizer.encode(text)) + 1 for text in rows.wanted)
    for asked, wanted in zip(rows.asked, rows.wanted, strict=True):
        read, labels = (torch.tensor([[*tokenizer.encode(text), 0]]) for text in (asked, wanted))
        with torch.inference_mode():
            nats.append(model(input_ids=read, labels=labels).loss.item() * labels.shape[1])
            made = model.generate(input_ids=read, max_new_tokens=longest, do_sample=False)[0]
        said.append(tokenizer.decode(made, skip_special_tokens=True))
        targets += labels.shape[1]
    return np.array(nats), said, targets


def test_torch_and_the_graphs_score_and_write_as_transformers_does(paired, rows, right):
    nats, said, targets = right
    kind = Seq2Seq()
    models = (
        kind.trained(paired.model().folder / "model", threads=1, device=torch.device("cpu")),
        kind.served(paired.graph().folder / "fp32", threads=1),
    )
    for model in models:
        scores = model.score(rows)
        assert scores.nats == pytest.approx(nats, rel=1e-4)
        assert int(scores.num_targets.sum()) == targets
        assert scores.said == said


def test_a_source_as_long_as_the_context_is_read_and_a_longer_one_as_far_as_that(paired, caplog):
    kind, folder = Seq2Seq(), paired.graph().folder / "fp32"
    served = kind.served(folder, threads=1)
    trained = kind.trained(paired.model().folder / "model", threads=1, device=torch.device("cpu"))
    context = OnnxModel(folder).settings.context_length
    word = " 木" if len(served.model.encode(" 木")) == 2 else "x"
    fits, long = word * (context - 1), word * (context + 9)
    assert len(served.model.encode(fits)) == context
    rows = Rows(["a", "b"], [fits, long], ["flour", "flour"])
    for model in (served, trained):
        caplog.clear()
        scores = model.score(rows)
        assert scores.nats[0] == scores.nats[1]
        assert f"1 of 2 sources are longer than the {context} tokens" in caplog.text
    assert len(OnnxModel(folder).generate([fits], greedy=True, max_new_tokens=2)[0]) == 1
    with pytest.raises(PromptError, match=f"the prompt has {context + 10} tokens, and the model takes {context}"):
        OnnxModel(folder).generate([long])


def test_the_evaluation_has_figures_of_targets_and_of_what_is_written(paired):
    found = json.loads((paired.evaluation().folder / "evaluation.json").read_text())["sequences"]
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]), rel=1e-4)
    assert found["bits_per_byte_low"] < found["bits_per_byte"] < found["bits_per_byte_high"]
    assert 0 <= found["exact_match"] <= 1
    assert 0 < found["chrf"] <= 100


def test_both_graphs_are_checked_and_both_are_compressed(paired):
    checks = json.loads((paired.graph().folder / "checks.json").read_text())["checks"]
    assert {check["name"] for check in checks} >= {"logits", "ragged_batch", "greedy_cached", "greedy_uncached"}
    made = paired.variants()
    quality = json.loads((made.folder / "quality.json").read_text())
    assert quality["int4"]["bytes"] < quality["int8"]["bytes"] < quality["fp16"]["bytes"] < quality["fp32"]["bytes"]
    assert abs(quality["int8"]["loss_increase"]) < 0.02
    assert {path.name for path in (made.folder / "int8").glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}
    assert made.metrics.values["int8_decode_tokens_per_s"] > 0


def test_the_bundle_writes_where_gristmill_is_not_installed(released, tmp_path):
    bundle = released.folder / "bundle"
    facts = json.loads((bundle / "bundle.json").read_text())
    assert (facts["kind"], facts["figure"]) == ("seq2seq", "served.sequences.bits_per_byte")
    assert facts["gate_passed"]
    (sample,) = json.loads((bundle / "samples.json").read_text())
    alone = [sys.executable, "-I", str(bundle / "generate.py"), "--greedy", sample["prompt"]]
    done = subprocess.run(alone, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip().endswith(sample["continuation"].strip())


def test_many_texts_at_once_become_what_each_becomes_alone(paired, rows):
    folder = paired.graph().folder / "fp32"
    alone = [texts[0] for texts in OnnxModel(folder).generate(rows.asked, greedy=True, max_new_tokens=12)]
    model = LocalModel(folder)
    prompts = [model.prompt_tokens(text, "here") for text in rows.asked]
    made = [""] * len(prompts)
    for piece in model.run(prompts, model.sampling(greedy=True, max_new_tokens=12)):
        made[piece.index] += piece.text
    assert made == alone


def test_the_served_file_reads_and_writes_gaps_as_training_does(paired, tmp_path):
    from tokenizers import AddedToken

    from tasks.tokenizer.files import load_tokenizer
    from tasks.tokenizer.sentinels import Sentinels

    folder = shutil.copytree(paired.graph().folder / "fp32", tmp_path / "fp32")
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens([AddedToken(f"<extra_id_{number}>", special=True) for number in range(2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    model, texts = OnnxModel(folder), Sentinels(tokenizer)
    for text in ("The <extra_id_0> walks<extra_id_1>.", "今天<extra_id_0>很好<extra_id_7>", "<|endoftext|>", ""):
        ids = model.encode(text)
        assert ids == [*texts.encode(text), model.settings.eos_token_id]
        assert model.decode(ids) == text


def test_the_registry_serves_what_the_bundle_writes(paired, released, tracked):
    import mlflow
    import pandas

    made = _register(PARAMS, released, paired.evaluation(), run=tracked)
    assert made.aliases == ("challenger", "champion")
    model = mlflow.pyfunc.load_model("models:/pairs@champion")
    (sample,) = json.loads((released.folder / "bundle" / "samples.json").read_text())
    asked = pandas.DataFrame({"prompt": [sample["prompt"]]})
    assert model.predict(asked, params={"greedy": True}) == [sample["continuation"]]
