"""The evaluation stage against arithmetic done apart."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from params.encode import EncodeParams, ExamplesParams
from params.errors import EvaluationError
from params.evaluate import EvaluateParams, HarnessParams
from params.train import ModelParams
from params.train_tokenizer import TrainTokenizerParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer
from tasks.encode import encode
from tasks.evaluate import check_questions, evaluate, held_out_talk
from tasks.evaluation import harness_tasks
from tasks.evaluation.evaluating import evaluate_model
from tasks.evaluation.losses import read_losses
from tasks.evaluation.trained_model import TrainedModel
from tasks.model.build import build_model
from tasks.tokenizer.files import copy_tokenizer, load_tokenizer, special_ids

ANSWERS = ("This is a number, and a small one at that.", "这是一个很小的数字，答案就是它，请你记住。")


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


@pytest.fixture(scope="module")
def chat_model(splits, world, seal_in_world):
    """A fresh model whose tokenizer has ChatML, and eight conversations that it holds out."""
    from tasks.train_tokenizer import train_tokenizer

    params = TrainTokenizerParams(vocab_size=512, chat_template="chatml")
    tokenizer = seal_in_world(
        "chat_tokenizer", lambda out: train_tokenizer.work(params, splits, out=out, run=world), params={"chat": True}
    )

    def fill(out):
        ids = special_ids(tokenizer.folder)
        special = {"begin": ids.begin, "end": ids.end, "padding": ids.padding}
        model = ModelParams(layers=1, width=32, heads=2)
        build_model(model, vocab_size=512, context=96, **special, seed=1).save_pretrained(out / "model")
        copy_tokenizer(tokenizer.folder, out / "model")

    rows = [{"prompt": f"What is {n}?", "response": ANSWERS[n % 2]} for n in range(30)]
    path = world.store.root / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = ExamplesParams(path=str(path))
    encoding = EncodeParams(sources=(source,), objective="instruct", context=96, validation=0.3)
    examples = seal_in_world(
        "encode", lambda out: encode.work(encoding, tokenizer, out=out, run=world), params={"chat": True}
    )
    return seal_in_world("train", fill, params={"chat": True}), examples


def test_the_held_out_answers_have_the_loss_of_transformers_on_the_chat_as_it_is_generated(
    chat_model, splits, world, tmp_path
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, examples = chat_model
    params = EvaluateParams(bootstrap_samples=100, generation=None, memorisation=None, contamination=None, bias=False)
    metrics = evaluate.work(params, model, splits, examples, out=tmp_path, run=world)
    report = json.loads((tmp_path / "evaluation.json").read_text())["answers"]
    reference = AutoModelForCausalLM.from_pretrained(model.folder / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model.folder / "model")
    nats, targets, num_bytes, end = 0.0, 0, 0, tokenizer.convert_tokens_to_ids("<|im_end|>")
    lines = [json.loads(line) for line in (examples.folder / "held_out.jsonl").read_text().splitlines()]
    for line in lines:
        asked, answer = line["messages"]
        prompt = tokenizer.apply_chat_template([asked], add_generation_prompt=True, return_dict=False)
        said = [*tokenizer.encode(answer["content"], add_special_tokens=False), end]
        with torch.inference_mode():
            logits = reference(torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1]
        nats += torch.nn.functional.cross_entropy(logits, torch.tensor(said), reduction="sum").item()
        targets, num_bytes = targets + len(said), num_bytes + len(answer["content"].encode())
    assert (report["docs"], report["targets"], report["num_bytes"]) == (len(lines), targets, num_bytes)
    assert report["loss"] == pytest.approx(nats / targets, rel=1e-4)
    assert report["bits_per_byte"] == pytest.approx(nats / num_bytes / math.log(2), rel=1e-4)
    assert report["loss_low"] <= report["loss"] <= report["loss_high"]
    assert report["by_language"]["zh"]["docs"] + report["by_language"]["en"]["docs"] == len(lines)
    assert metrics.values["answers.loss"] == report["loss"]


def test_held_out_conversations_are_looked_for_in_the_training_text(chat_model, tmp_path):
    model, examples = chat_model
    trained = TrainedModel(model.folder / "model", threads=1, device=torch.device("cpu"))
    talk = held_out_talk(EvaluateParams(), examples, model.folder / "model")
    english = [chat.said for chat in talk.conversations.chats if chat.answered == ANSWERS[0]]
    text = english[0].replace("\n", " ")  # thirteen words, one n-gram; the other questions ask for other numbers
    row = {"id": "a", "text": text, "source": "web", "path": "a.txt", "position": 0}
    with shard_writer(tmp_path / "train.arrow", DOCUMENT) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([row], DOCUMENT))
    nothing = {"generation": None, "memorisation": None, "bias": False, "bootstrap_samples": 100}
    done = evaluate_model(trained, EvaluateParams(**nothing), {}, training=[tmp_path / "train.arrow"], talk=talk)
    found = done.report["contamination"]["conversations"]
    assert (found["contaminated"], found["compared"]) == (1, len(talk.conversations.chats))
    assert done.report["answers"]["docs"] == len(talk.conversations.chats)


def test_a_model_that_ended_with_text_has_no_answers(measured):
    assert "answers" not in json.loads((measured[0] / "evaluation.json").read_text())
    assert not (measured[0] / "conversations").exists()


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


def test_tasks_without_their_package_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(harness_tasks, "find_spec", lambda name: None)
    params = EvaluateParams(harness=HarnessParams(tasks=("capitals",), folder=str(tmp_path)))
    with pytest.raises(EvaluationError, match=r"needs the package lm_eval: pip install 'gristmill\[eval\]'"):
        check_questions(params)
