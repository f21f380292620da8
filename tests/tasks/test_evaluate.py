"""The evaluation stage against arithmetic done apart."""

import json
import math

import numpy as np
import pytest
import torch

from params.errors import EvaluationError
from params.evaluate import EvaluateParams
from params.train import ModelParams
from tasks.documents.shards import read_batches
from tasks.evaluate import evaluate
from tasks.evaluation.losses import read_losses
from tasks.model.build import build_model
from tasks.tokenizer.files import copy_tokenizer, load_tokenizer, special_ids


@pytest.fixture(scope="module")
def model(tokenizer, world, seal_in_world):
    def fill(out):
        ids = special_ids(tokenizer.folder)
        params = ModelParams(layers=1, width=32, heads=2)
        special = {"begin": ids.begin, "end": ids.end, "padding": ids.padding}
        built = build_model(params, vocab_size=512, context=32, **special, seed=1)
        built.save_pretrained(out / "model")
        copy_tokenizer(tokenizer.folder, out / "model")

    return seal_in_world("train", fill)


@pytest.fixture(scope="module")
def measured(model, splits, world, tmp_path_factory):
    """The folder and the metrics of an evaluation of every document as a whole."""
    out = tmp_path_factory.mktemp("evaluation")
    params = EvaluateParams(bootstrap_samples=100, max_documents=None, max_document_bytes=None)
    return out, evaluate.work(params, model, splits, out=out, run=world)


def texts_of(splits, split):
    return [t for path in splits.paths(f"{split}/*.arrow") for b in read_batches(path) for t in b["text"].to_pylist()]


def test_a_model_that_knows_nothing_has_the_loss_of_the_uniform_distribution(measured):
    # zero hidden states at a tied head would be exactly uniform; a fresh model is close to it
    assert measured[1].values["test.loss"] == pytest.approx(math.log(512), rel=0.03)


def test_the_figures_count_the_texts_own_bytes_and_every_token(measured, model, splits):
    out, metrics = measured
    report, texts = json.loads((out / "evaluation.json").read_text())["test"], texts_of(splits, "test")
    tokenizer = load_tokenizer(model.folder / "model")
    assert report["num_bytes"] == sum(len(text.encode()) for text in texts)
    assert report["targets"] == sum(len(tokenizer.encode(text).ids) for text in texts)
    assert report["docs"] == len(texts)
    assert sorted(report["by_source"]) == ["docs", "poems"]
    assert report["by_language"]["unknown"]["loss"] == report["loss"]
    bits = report["loss"] * report["targets"] / report["num_bytes"] / math.log(2)
    assert report["bits_per_byte"] == pytest.approx(bits, abs=1e-5)
    assert metrics.values["test.by_source.poems.loss"] == report["by_source"]["poems"]["loss"]


def test_the_loss_of_each_document_is_that_of_transformers_window_by_window(measured, model, splits):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(model.folder / "model", dtype=torch.float32)
    tokenizer, begin = load_tokenizer(model.folder / "model"), special_ids(model.folder / "model").begin
    losses = read_losses(measured[0] / "documents" / "test.arrow")
    for text, nats in zip(texts_of(splits, "test"), losses.nats, strict=True):
        tokens, expected = [begin, *tokenizer.encode(text).ids], 0.0
        for start in range(0, len(tokens) - 1, 32):
            window = torch.tensor([tokens[start : start + 33]])
            with torch.inference_mode():
                logits = reference(window[:, :-1]).logits[0]
            expected += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
        assert nats == pytest.approx(expected, rel=1e-4)


def test_few_documents_are_taken_evenly_and_read_to_whole_characters(model, splits, world, tmp_path):
    params = EvaluateParams(bootstrap_samples=100, max_documents=2, max_document_bytes=16)
    evaluate.work(params, model, splits, out=tmp_path, run=world)
    losses = read_losses(tmp_path / "documents" / "test.arrow")
    assert losses.sources == ["poems", "docs"]
    assert losses.num_bytes.tolist() == [15, 16]  # five Chinese characters of three bytes


def test_a_split_without_text_is_told(model, world, tmp_path, seal_in_world):
    empty = seal_in_world("split", lambda out: None, params={"empty": True})
    with pytest.raises(EvaluationError, match=r"the validation split has no text .* raise split\.validation"):
        evaluate.work(EvaluateParams(), model, empty, out=tmp_path, run=world)


def test_the_bootstrap_interval_is_that_of_a_mean_for_equal_denominators():
    from tasks.evaluation.figures import Bootstrap, bootstrap_ratio

    random = np.random.default_rng(0)
    values = random.normal(5.0, 2.0, 400)
    low, high = bootstrap_ratio(values, np.ones(400, dtype=np.int64), Bootstrap(4000, 0.95, 1))
    half = 1.96 * values.std() / math.sqrt(400)  # the normal interval of a mean
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.04)
