"""The evaluation stage against arithmetic done apart."""

import json
import math

import numpy as np
import pytest
import torch

from params.evaluate import EvaluateParams
from params.train import ModelParams
from tasks.evaluate import evaluate
from tasks.evaluation.figures import bootstrap_ratio
from tasks.model.build import build_model
from tasks.tokenizer.files import copy_tokenizer, special_ids


@pytest.fixture
def model(tokenizer, seal):
    def fill(out):
        ids = special_ids(tokenizer.folder)
        params = ModelParams(layers=1, width=32, heads=2)
        special = {"begin": ids.begin, "end": ids.end, "padding": ids.padding}
        built = build_model(params, vocab_size=512, context=32, **special, seed=1)
        built.save_pretrained(out / "model")
        copy_tokenizer(tokenizer.folder, out / "model")

    return seal("train", fill)


def test_a_model_that_knows_nothing_has_the_loss_of_the_uniform_distribution(model, shards, run, tmp_path):
    # zero hidden states at a tied head would be exactly uniform; a fresh model is close to it
    metrics = evaluate.work(EvaluateParams(bootstrap_samples=100), model, shards, out=tmp_path, run=run)
    assert metrics.values["test_loss"] == pytest.approx(math.log(512), rel=0.03)


def test_the_figures_agree_with_transformers_own_loss_and_the_texts_own_bytes(model, shards, splits, run, tmp_path):
    from transformers import AutoModelForCausalLM

    from tasks.documents.shards import read_batches
    from tasks.tokenizer.files import load_tokenizer

    evaluate.work(EvaluateParams(bootstrap_samples=100, max_blocks=None), model, shards, out=tmp_path, run=run)
    report = json.loads((tmp_path / "evaluation.json").read_text())["test"]
    texts = [t for path in splits.paths("test/*.arrow") for b in read_batches(path) for t in b["text"].to_pylist()]
    assert report["num_bytes"] == sum(len(text.encode()) for text in texts)
    assert report["docs"] == len(texts)
    assert sorted(report["by_source"]) == ["docs", "poems"]

    poem = texts[0]
    ids = special_ids(model.folder / "model")
    tokens = [ids.begin, *load_tokenizer(model.folder / "model").encode(poem).ids, ids.begin][:33]
    reference = AutoModelForCausalLM.from_pretrained(model.folder / "model", dtype=torch.float32)
    with torch.inference_mode():
        logits = reference(torch.tensor([tokens[:-1]])).logits[0]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="sum").item()
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "documents" / "test.arrow"))).read_all()
    first_block_share = expected / len(tokens[1:])
    measured = table["nats"][0].as_py() / table["num_targets"][0].as_py()
    assert measured == pytest.approx(first_block_share, rel=0.05)


def test_the_bootstrap_interval_is_that_of_a_mean_for_equal_denominators():
    random = np.random.default_rng(0)
    values = random.normal(5.0, 2.0, 400)
    low, high = bootstrap_ratio(values, np.ones(400, dtype=np.int64), samples=4000, confidence=0.95, seed=1)
    half = 1.96 * values.std() / math.sqrt(400)  # the normal interval of a mean
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.04)
