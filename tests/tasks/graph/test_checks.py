"""The checks see a graph that computes something else."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tasks.graph.checks import Check, Greedy, check_graph
from tasks.graph.held_out import held_out_blocks
from tasks.graph.reference import TrainedModel


@pytest.fixture(scope="module")
def reference(workshop):
    return TrainedModel(workshop.model("qwen3").folder / "model")


def failures(workshop, reference, folder):
    blocks = [block[:-1] for block in held_out_blocks(workshop.shards(), 2)]
    checks = check_graph(folder, reference, blocks, greedy_tokens=16, max_logit_difference=1e-3)
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
    assert {"logits", "ragged_batch", "greedy_cached", "greedy_uncached"} <= failures(workshop, reference, copied)


def test_a_weight_off_by_a_hundredth_fails_the_logits_alone(workshop, reference, copied):
    model = onnx.load(copied / "model.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "model.layers.2.final_norm_layernorm.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    (copied / "model.onnx.data").unlink()
    onnx.save(model, copied / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    assert failures(workshop, reference, copied) == {"logits", "ragged_batch"}


def test_a_wrong_end_of_text_fails(workshop, reference, copied):
    settings = (copied / "generation.json").read_text()
    (copied / "generation.json").write_text(settings.replace('"eos_token_id": 0', '"eos_token_id": 7'))
    assert failures(workshop, reference, copied) == {"end_of_text_id"}


def test_a_tokenizer_that_changes_text_fails(workshop, reference, copied):
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(copied / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(copied / "tokenizer.json"))
    assert failures(workshop, reference, copied) == {"tokenizer"}


def test_a_difference_between_near_equals_is_a_tie_and_any_other_is_not():
    row = Greedy(tokens=[1, 2], scores=[np.array([0.0, 3.0, 0.0]), np.array([0.0, 4.9995, 5.0])])
    assert row.verdict([1, 2], tie=1e-3) == "equal"
    assert row.verdict([1, 1], tie=1e-3) == "tie"
    assert row.verdict([1, 0], tie=1e-3) == "different"
    assert row.verdict([2, 2], tie=1e-3) == "different"


def test_a_value_that_is_no_number_does_not_pass():
    assert not Check("logits", float("nan"), 1.0, "").passed
