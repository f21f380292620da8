"""The checks see a graph that computes something else."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tasks.graph.checks import Check, Greedy, check_graph, perplexity
from tasks.graph.held_out import held_out_blocks
from tasks.graph.reference import TrainedModel
from tasks.graph.tokenizer_checks import tokenizer_results
from tasks.tokenizer.special import CHATML


@pytest.fixture(scope="module")
def reference(workshop):
    return TrainedModel(workshop.model("qwen3").folder / "model")


def failures(workshop, reference, folder):
    blocks = [block[:-1] for block in held_out_blocks(workshop.shards(), 2)]
    source = workshop.model("qwen3").folder / "model"
    checks = check_graph(folder, reference, blocks, source=source, greedy_tokens=16, max_logit_difference=1e-3)
    return {check.name for check in checks if not check.passed}


@pytest.fixture
def copied(workshop, tmp_path):
    return shutil.copytree(workshop.graph("qwen3").folder / "fp32", tmp_path / "fp32")


def test_an_untouched_copy_passes(workshop, reference, copied):
    assert failures(workshop, reference, copied) == set()


def test_one_weight_matrix_turned_over_fails_logits_and_greedy_text(workshop, reference, copied):
    model = onnx.load(copied / "model.onnx")
    weight = next(t for t in model.graph.initializer if t.name.endswith("layers.1.mlp.down_proj.MatMul.weight"))
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    (copied / "model.onnx.data").unlink()
    onnx.save(model, copied / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    expected = {"logits", "perplexity", "ragged_batch", "greedy_cached", "greedy_uncached"}
    assert expected <= failures(workshop, reference, copied)


def test_a_weight_off_by_a_hundredth_leaves_the_greedy_text_and_fails_the_logits(workshop, reference, copied):
    model = onnx.load(copied / "model.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "model.layers.2.final_norm_layernorm.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    (copied / "model.onnx.data").unlink()
    onnx.save(model, copied / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    assert failures(workshop, reference, copied) == {"logits", "perplexity", "ragged_batch"}


def test_a_wrong_end_of_text_fails(workshop, reference, copied):
    settings = (copied / "generation.json").read_text()
    (copied / "generation.json").write_text(settings.replace('"eos_token_id": 0', '"eos_token_id": 7'))
    assert failures(workshop, reference, copied) == {"end_of_text_id"}


def test_a_tokenizer_that_changes_text_fails(workshop, reference, copied):
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(copied / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(copied / "tokenizer.json"))
    assert failures(workshop, reference, copied) == {"tokenizer", "tokenizer_fuzzed"}


def test_a_special_token_that_became_text_fails(workshop, reference, copied):
    stored = json.loads((copied / "tokenizer.json").read_text())
    next(token for token in stored["added_tokens"] if token["content"] == "<|pad|>")["special"] = False
    (copied / "tokenizer.json").write_text(json.dumps(stored))
    assert failures(workshop, reference, copied) >= {"special_tokens", "tokenizer"}


def test_a_chat_template_must_be_the_models_own_and_give_the_same_tokens(workshop, copied, tmp_path):
    source = shutil.copytree(workshop.model("qwen3").folder / "model", tmp_path / "source")
    (source / "chat_template.jinja").write_text(CHATML)
    results = {name: (value, detail) for name, value, detail in tokenizer_results(copied, source)}
    assert results["chat_template"] == (1.0, "chat_template.jinja is missing or another")
    shutil.copyfile(source / "chat_template.jinja", copied / "chat_template.jinja")
    value, detail = {name: rest for name, *rest in tokenizer_results(copied, source)}["chat_template"]
    assert value == 0
    assert detail.startswith("a conversation of ")


def test_perplexity_is_two_to_the_bits_of_a_coin_and_leaves_out_padding():
    even = np.zeros((4, 2), np.float32)
    assert perplexity([even], [[0, 1, 0, 1]], padding=9) == pytest.approx(2.0)
    sure = np.array([[np.log(3.0), 0.0], [50.0, 0.0], [0.0, 0.0]])
    assert perplexity([sure], [[0, 0, 1]], padding=1) == pytest.approx(4 / 3)


def test_a_difference_between_near_equals_is_a_tie_and_any_other_is_not():
    row = Greedy(tokens=[1, 2], scores=[np.array([0.0, 3.0, 0.0]), np.array([0.0, 4.9995, 5.0])])
    assert row.verdict([1, 2], tie=1e-3) == "equal"
    assert row.verdict([1, 1], tie=1e-3) == "tie"
    assert row.verdict([1, 0], tie=1e-3) == "different"
    assert row.verdict([2, 2], tie=1e-3) == "different"


def test_a_value_that_is_no_number_does_not_pass():
    assert not Check("logits", float("nan"), 1.0, "").passed
