"""Export against the real builders."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper

from params.errors import ExportError
from params.export import ExportParams
from params.model import ModelParams
from tasks.export import export
from tasks.graph.build import build_graph
from tasks.model.build import build_model
from tasks.serving.generator import OnnxModel
from tasks.tokenizer.files import copy_tokenizer, special_ids


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2", "bloom"])
def test_a_trained_model_becomes_a_graph_that_passes_every_check(workshop, architecture):
    graph = workshop.graph(architecture)
    checks = json.loads((graph.folder / "checks.json").read_text())["checks"]
    assert {check["name"] for check in checks} == {
        "logits",
        "perplexity",
        "ragged_batch",
        "greedy_cached",
        "greedy_uncached",
        "greedy_ragged_batch",
        "end_of_text_id",
        "stops_at_end_of_text",
        "tokenizer",
        "tokenizer_fuzzed",
        "special_tokens",
        "chat_template",
    }
    assert all(check["passed"] for check in checks)
    assert [path.name for path in sorted((graph.folder / "fp32").iterdir())] == [
        "generation.json",
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


@pytest.mark.slow
def test_an_encoder_decoder_model_becomes_two_graphs_that_pass_every_check(workshop, tmp_path):
    folder = tmp_path / "train"
    tokenizer = workshop.model("gpt2").folder / "model"
    model = build_model(
        ModelParams(architecture="t5", layers=2, width=64, heads=2, ffn_width=96),
        vocab_size=special_ids(tokenizer).vocab_size,
        context=64,
        begin=0,
        end=0,
        padding=1,
        seed=0,
    )
    for parameter in model.parameters():  # output projections start at zero, which would hide everything
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder / "model")
    copy_tokenizer(tokenizer, folder / "model")
    params = ExportParams(check_blocks=2, greedy_tokens=12)
    trained = workshop.model("gpt2").located(folder)
    export.work(params, trained, workshop.shards(), out=tmp_path / "out", run=workshop.run)
    checks = {c["name"]: c for c in json.loads((tmp_path / "out" / "checks.json").read_text())["checks"]}
    assert {"logits", "perplexity", "ragged_batch", "greedy_cached", "greedy_uncached"} <= set(checks)
    assert all(check["passed"] for check in checks.values())
    assert {path.name for path in (tmp_path / "out" / "fp32").glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}


def test_the_graphs_of_all_architectures_have_the_same_names(workshop):
    for architecture in ("qwen3", "llama", "gpt2", "bloom"):
        session = OnnxModel(workshop.graph(architecture).folder / "fp32").session
        pairs = [f"{layer}.{kind}" for layer in (0, 1) for kind in ("key", "value")]
        inputs = {tensor.name for tensor in session.get_inputs()} - {"position_ids"}
        assert inputs == {"input_ids", "attention_mask", *(f"past_key_values.{pair}" for pair in pairs)}
        assert {tensor.name for tensor in session.get_outputs()} == {"logits", *(f"present.{pair}" for pair in pairs)}


def test_a_second_export_gives_the_same_bytes_and_a_failed_check_is_an_error_with_its_figures(workshop, tmp_path):
    params = ExportParams(check_blocks=2, greedy_tokens=16, max_logit_difference=1e-9)
    with pytest.raises(ExportError, match=r"logits: .*, at most 1e-09 is allowed \(2 blocks\)"):
        export.work(params, workshop.model("gpt2"), workshop.shards(), out=tmp_path, run=workshop.run)
    passed = {c["name"]: c["passed"] for c in json.loads((tmp_path / "checks.json").read_text())["checks"]}
    assert not passed["logits"]
    assert passed["greedy_cached"]
    for path in sorted((tmp_path / "fp32").iterdir()):
        data = path.read_bytes()
        assert data == (workshop.graph("gpt2").folder / "fp32" / path.name).read_bytes()
        assert str(Path(__file__).parents[2]).encode() not in data
        assert b"site-packages" not in data


def test_a_tied_matrix_lies_in_the_file_once(workshop):
    tied = json.loads((workshop.model("qwen3").folder / "model" / "config.json").read_text())
    model = onnx.load(workshop.graph("qwen3").folder / "fp32" / "model.onnx")
    tables = [t.name for t in model.graph.initializer if sorted(t.dims) == sorted([tied["vocab_size"], 64])]
    assert len(tables) == 1


@pytest.mark.slow
def test_other_formats_are_written_read_back_and_compared(workshop, tmp_path):
    params = ExportParams(check_blocks=2, greedy_tokens=4, formats=("gguf", "pt2", "torchscript"))
    export.work(params, workshop.model("qwen3"), workshop.shards(), out=tmp_path, run=workshop.run)
    checks = {c["name"]: c for c in json.loads((tmp_path / "checks.json").read_text())["checks"]}
    for name, file in (("gguf", "model.gguf"), ("pt2", "model.pt2"), ("torchscript", "model.pt")):
        assert (tmp_path / name / file).exists()
        assert checks[f"{name}_logits"]["value"] < 1e-4


def test_a_builder_that_dies_is_explained_with_the_end_of_its_log(workshop, tmp_path):
    source = tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ExportError, match=r"could not be built \(exit code 1\)") as failed:
        build_graph(source, tmp_path / "fp32", opset=21, log_path=tmp_path / "export.log")
    assert str(tmp_path / "export.log") in str(failed.value)


def test_an_architecture_without_exporter_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(ExportError, match="mamba; these are known: qwen3, llama, gpt2, bloom, t5"):
        build_graph(tmp_path, tmp_path / "fp32", opset=21, log_path=tmp_path / "export.log")


def test_the_weights_of_the_graph_are_those_of_the_model(workshop):
    from safetensors.numpy import load_file

    trained = load_file(workshop.model("qwen3").folder / "model" / "model.safetensors")
    graph = onnx.load(workshop.graph("qwen3").folder / "fp32" / "model.onnx").graph
    exported = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    down = trained["model.layers.1.mlp.down_proj.weight"]
    assert (exported["model.layers.1.mlp.down_proj.MatMul.weight"] == down.T).all()
