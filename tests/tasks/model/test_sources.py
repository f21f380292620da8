"""Where weights come from: a folder, a file, the hub, the registry."""

import logging
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from params.errors import ParameterError
from params.model import ModelParams
from tasks.model.files import weights_digest
from tasks.model.sources import kind_of, locate_weights, name_of, resolve_weights
from tasks.model.start import check_model, start_model
from tasks.pull import pull


def test_what_lies_here_comes_before_a_hub_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme" / "mill").mkdir(parents=True)
    (tmp_path / "mill.gguf").touch()
    kinds = {source: kind_of(source) for source in ("acme/mill", "acme/other@v1.0", "gpt2", "models:/mill@champion")}
    assert kinds == {
        "acme/mill": "folder",
        "acme/other@v1.0": "hub",
        "gpt2": "hub",
        "models:/mill@champion": "registry",
    }
    assert kind_of("mill.gguf") == kind_of(f"file://{tmp_path}/mill.gguf") == "gguf"


def test_a_source_is_named_by_its_address_and_never_by_its_place(tmp_path):
    assert name_of(str(tmp_path)) == tmp_path.name
    assert name_of("acme/mill@v1") == "acme/mill@v1"
    assert name_of("models:/mill/3") == "models:/mill/3"


@pytest.mark.parametrize("source", ["/no/such/folder", "./weights/here", "lost.gguf", "a/b/c"])
def test_what_can_only_be_a_path_and_is_not_there_says_so(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=r"does not exist; name a transformers folder, a GGUF file, a hub name"):
        kind_of(source)


def test_the_registry_is_asked_for_the_address(tmp_path, weights):
    folder, asked = weights(), []

    def fetch(address, cache):
        asked.append((address, cache))
        return folder

    assert resolve_weights("models:/mill@champion", cache=tmp_path, fetch=fetch) == folder
    assert asked == [("models:/mill@champion", tmp_path / "registry")]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_released_model_is_trained_on(bench, candidate, tmp_path):
    """As release registers it: a bundle whose folder `transformers` holds the weights and their tokenizer."""
    candidate("grindstone", "first", 1.5)

    def fetch(address, cache):
        return pull(address, cache / "grindstone") / "transformers"

    source = "models:/grindstone@champion"
    folder = resolve_weights(source, cache=tmp_path, fetch=fetch)
    params = ModelParams(from_weights=source)
    assert check_model(params, weights=folder, tokenizer=folder, context=64) == f"qwen3 from {source}"
    started = start_model(params, weights=folder, tokenizer=folder, context=64, seed=1)
    torch.testing.assert_close(
        bench.logits(started.model.eval(), bench.ids()), bench.logits(bench.load(folder), bench.ids())
    )
    assert weights_digest(folder) == weights_digest(locate_weights(source, cache=tmp_path / "again", fetch=fetch))


def test_a_hub_model_in_the_cache_is_used_offline(bench, weights, tmp_path, monkeypatch):
    folder = weights()
    hub = tmp_path / "hub" / "models--acme--mill"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, hub / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = locate_weights("acme/mill", cache=tmp_path, fetch=bench.nothing_to_fetch)
    assert (found / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_hub_model_that_is_not_in_the_cache_offline_says_how_to_bring_it(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ParameterError, match=r"HF_HUB_OFFLINE forbids a download; unset it, or run `hf download acme/mill"
    ):
        locate_weights("acme/mill", cache=tmp_path, fetch=bench.nothing_to_fetch)


def test_a_hub_that_does_not_answer_is_told(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    with pytest.raises(ParameterError, match=r"acme/mill is no folder or file here, and the hub does not give it"):
        locate_weights("acme/mill", cache=tmp_path, fetch=bench.nothing_to_fetch)


def test_other_code_beside_known_weights_is_not_run_and_said_so(bench, weights, tmp_path, caplog):
    folder = weights()
    (folder / "modeling.py").write_text("raise SystemExit('executed')")
    bench.edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Mine"})
    with caplog.at_level(logging.INFO):
        assert resolve_weights(str(folder), cache=tmp_path, fetch=bench.nothing_to_fetch) == folder
    assert "it is not executed: transformers has qwen3" in caplog.text


def test_mixed_dtypes_are_told(bench, weights, tmp_path, caplog):
    folder = weights()
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with caplog.at_level(logging.INFO):
        resolve_weights(str(folder), cache=tmp_path, fetch=bench.nothing_to_fetch)
    assert "32 values of bfloat16" in caplog.text
    assert "learned as float32" in caplog.text


def test_a_file_that_is_no_gguf_is_refused(bench, weights, tmp_path):
    path = weights() / "model.safetensors"
    with pytest.raises(ParameterError, match=r"is no GGUF file; name the folder that holds model\.safetensors"):
        locate_weights(str(path), cache=tmp_path, fetch=bench.nothing_to_fetch)
