"""The model of a run, as training asks for it and leaves it."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from params.errors import ParameterError
from params.model import LoraParams, ModelParams
from tasks.model.lora import learned_parameters
from tasks.model.sources import resolve_weights
from tasks.model.start import check_model, save_model, start_model


def started(bench, folder, tokenizer, tmp_path, **changes):
    params = ModelParams(from_weights=str(folder), **changes)
    ready = resolve_weights(str(folder), cache=tmp_path / "cache", fetch=bench.nothing_to_fetch)
    check_model(params, weights=ready, tokenizer=tokenizer, context=bench.context)
    return start_model(params, weights=ready, tokenizer=tokenizer, context=bench.context, seed=1)


def test_a_model_from_scratch_is_left_as_a_plain_folder(bench, tokenizer, tmp_path):
    params = ModelParams(layers=2, width=32, heads=2, vocabulary_multiple=64)
    check_model(params, weights=None, tokenizer=tokenizer, context=32)
    made = start_model(params, weights=None, tokenizer=tokenizer, context=32, seed=1)
    assert made.adapter is None
    assert made.model.config.vocab_size == 320
    logits = bench.logits(made.model.eval(), bench.ids())
    save_model(made, tmp_path / "model", adapter_folder=tmp_path / "adapter")
    assert torch.equal(bench.logits(bench.load(tmp_path / "model"), bench.ids()), logits)
    assert not (tmp_path / "adapter").exists()


def test_what_one_run_leaves_another_starts_from(bench, weights, larger_tokenizer, tmp_path):
    first = started(bench, weights(), larger_tokenizer, tmp_path)
    logits = bench.logits(first.model.eval(), bench.ids())
    save_model(first, tmp_path / "model", adapter_folder=tmp_path / "adapter")
    (tmp_path / "model" / "tokenizer.json").write_bytes((larger_tokenizer / "tokenizer.json").read_bytes())
    second = started(bench, tmp_path / "model", larger_tokenizer, tmp_path)
    assert torch.equal(bench.logits(second.model.eval(), bench.ids()), logits)


def test_an_adapter_is_kept_and_merged(bench, weights, larger_tokenizer, tmp_path):
    folder = weights()
    made = started(bench, folder, larger_tokenizer, tmp_path, lora=LoraParams(rank=2))
    learned = learned_parameters(made.model)
    assert (
        sum(value.numel() for value in learned.values()) < sum(value.numel() for value in made.model.parameters()) / 2
    )
    with torch.no_grad():
        for value in learned.values():
            value.add_(0.05)
    logits = bench.logits(made.model.eval(), bench.ids())
    save_model(made, tmp_path / "model", adapter_folder=tmp_path / "adapter")
    torch.testing.assert_close(bench.logits(bench.load(tmp_path / "model"), bench.ids()), logits, rtol=1e-4, atol=1e-4)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    texts = [path.read_text() for path in tmp_path.glob("*/*.json") if path.parent.name in ("model", "adapter")]
    assert not any(str(tmp_path) in text for text in texts)


def test_the_same_seed_starts_the_same_on_every_rank(bench, weights, larger_tokenizer, tmp_path):
    folder = weights()
    for lora in (None, LoraParams(rank=2)):
        found = []
        for _ in range(2):
            torch.rand(3)  # what other parts of the process draw must not matter
            model = started(bench, folder, larger_tokenizer, tmp_path, lora=lora).model
            found.append(model.state_dict() | {"random state": torch.get_rng_state()})
        assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_what_the_model_will_be_is_told_beforehand(bench, weights, tokenizer, larger_tokenizer):
    folder = weights()
    params = ModelParams(from_weights=str(folder), lora=LoraParams(rank=2))
    told = check_model(params, weights=folder, tokenizer=larger_tokenizer, context=32)
    assert told == "qwen3 from weights, 3 new tokens, adapters of rank 2"
    told = check_model(ModelParams(depth=2), weights=None, tokenizer=tokenizer, context=32)
    assert told.startswith("qwen3, 2 layers of width 128, 4 heads of 32, feed-forward 352: ")


def test_padding_is_new_to_many_weights_and_never_learned(bench, weights, larger_tokenizer, tmp_path):
    config = json.loads((larger_tokenizer / "tokenizer_config.json").read_text())
    copy = tmp_path / "padded"
    shutil.copytree(larger_tokenizer, copy)
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": "<|im_start|>"}))
    made = started(bench, weights(), copy, tmp_path, lora=LoraParams(rank=2))
    rows = learned_parameters(made.model)["model.embed_tokens.token_adapter.trainable_tokens_delta.default"]
    assert len(rows) == 2  # the two words


def test_what_keeps_a_model_from_being_made_is_found_beforehand(bench, weights, tokenizer):
    folder = weights("gpt2")
    params = ModelParams(from_weights=str(folder))
    with pytest.raises(ParameterError, match=r"set shard\.context to 32 or less"):
        check_model(params, weights=folder, tokenizer=tokenizer, context=33)
    with pytest.raises(ParameterError, match="must be an even multiple of heads 5"):
        check_model(ModelParams(heads=5), weights=None, tokenizer=tokenizer, context=32)


def test_starting_a_model_takes_neither_prefect_nor_mlflow():
    code = (
        "import sys, tasks.model.start, tasks.model.sources, tasks.model.lora;"
        "print({'prefect', 'mlflow', 'torch', 'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
