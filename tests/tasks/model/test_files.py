"""Weights that cannot be trained are refused before anything starts, with the reason and the remedy."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from params.errors import ParameterError
from tasks.model.files import check_config, check_tensors, known_architectures, weight_files, weights_digest


def test_the_identity_is_the_contents_and_not_the_place(weights, tmp_path):
    folder = weights()
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    (moved / "README.md").write_text("A model.")
    assert weights_digest(moved) == weights_digest(folder)
    tensors = load_file(moved / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, moved / "model.safetensors", {"format": "pt"})
    assert weights_digest(moved) != weights_digest(folder)


def test_shards_count_and_a_missing_one_is_named(bench, tmp_path):
    model = bench.model("qwen3")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(weight_files(tmp_path).paths) > 1
    assert check_tensors(weight_files(tmp_path).paths)["float32"] == sum(p.numel() for p in model.parameters())
    lost = sorted(tmp_path.glob("model-*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ParameterError, match=f"{lost.name} is missing; fetch the folder again"):
        weight_files(tmp_path)


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_a_tensor_that_is_not_finite_is_named(weights, value, what):
    folder = weights()
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ParameterError, match=rf"model\.layers\.1\.mlp\.up_proj\.weight has {what} at 1 of 3,072 places"
    ):
        check_tensors(weight_files(folder).paths)


def test_a_file_cut_off_is_named(weights):
    path = weights() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ParameterError, match=r"model\.safetensors cannot be read .* cut off or damaged"):
        check_tensors([path])


def test_dtypes_are_counted(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(4), "b": torch.ones(2, dtype=torch.bfloat16), "c": torch.ones(3).long()}, path)
    assert check_tensors([path]) == {"float32": 4, "bfloat16": 2, "int64": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "quen3"},
            r"model_type 'quen3' is no language model that transformers knows; did you mean qwen3\?",
        ),
        ({"model_type": "zzzz"}, "known are .*bloom.*gpt2.*llama.*qwen3.*t5"),
        (
            {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "m.M"}},
            "brings its own code .* never executed here",
        ),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantized \(gptq\), which cannot be trained"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM, which does not write text"),
    ],
)
def test_a_configuration_that_cannot_be_trained_says_why(bench, weights, changes, message):
    folder = weights()
    bench.edit_config(folder, **changes)
    with pytest.raises(ParameterError, match=message):
        check_config(folder)


def test_a_folder_without_a_model_says_what_it_is(tmp_path):
    with pytest.raises(ParameterError, match=r"has no config\.json; name a folder that save_pretrained wrote"):
        check_config(tmp_path)
    (tmp_path / "mill-q8.gguf").touch()
    with pytest.raises(ParameterError, match=r"or the file itself: mill-q8\.gguf"):
        check_config(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/mill"}))
    with pytest.raises(ParameterError, match="is an adapter of acme/mill, not a model; merge it"):
        check_config(tmp_path)
    with pytest.raises(ParameterError, match=r"holds no model\.safetensors .* it holds adapter_config\.json, mill"):
        weight_files(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ParameterError, match="is not a JSON object"):
        check_config(tmp_path)


def test_the_architectures_that_are_built_from_scratch_are_known():
    assert {"qwen3", "llama", "gpt2", "bloom", "t5"} <= set(known_architectures())
