"""Existing weights as a model that learns."""

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from params.errors import ParameterError
from tasks.model.loading import check_weights, load_model


def load(folder, tokenizer, context=32, multiple=None):
    return load_model(folder, tokenizer=tokenizer, context=context, multiple=multiple, seed=1)[0]


def edit_tensors(folder, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2", "bloom", "t5"])
def test_weights_give_the_logits_they_gave_and_come_back_from_disk(bench, weights, tokenizer, architecture, tmp_path):
    folder = weights(architecture)
    model = load(folder, tokenizer)
    assert model.training
    logits = bench.logits(model.eval(), bench.ids())
    torch.testing.assert_close(logits, bench.logits(bench.load(folder), bench.ids()), rtol=1e-5, atol=1e-5)
    model.save_pretrained(tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    assert torch.equal(bench.logits(load(tmp_path / "again", tokenizer).eval(), bench.ids()), logits)


def test_half_precision_is_learned_as_float32(bench, weights, tokenizer):
    folder = weights()
    edit_tensors(folder, lambda tensors: tensors.update({name: value.bfloat16() for name, value in tensors.items()}))
    bench.edit_config(folder, dtype="bfloat16")
    model = load(folder, tokenizer)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.dtype == torch.float32


def test_dropout_is_off_and_code_of_others_is_not_named_in_what_is_left(bench, weights, tokenizer, tmp_path):
    folder = weights("gpt2")
    bench.edit_config(folder, attn_pdrop=0.1, resid_pdrop=0.1, auto_map={"AutoModelForCausalLM": "modeling.Mine"})
    model = load(folder, tokenizer)
    assert torch.equal(bench.logits(model, bench.ids()), bench.logits(model, bench.ids()))
    model.save_pretrained(tmp_path / "left")
    assert "auto_map" not in (tmp_path / "left" / "config.json").read_text()


def test_missing_tensors_are_named(weights, tokenizer):
    folder = weights()
    edit_tensors(folder, lambda tensors: tensors.pop("model.layers.1.self_attn.q_proj.weight"))
    with pytest.raises(
        ParameterError, match=r"lacks 1 tensors of a Qwen3ForCausalLM: model\.layers\.1\.self_attn\.q_proj"
    ):
        load(folder, tokenizer)


def test_tensors_of_another_shape_are_named(bench, weights, tokenizer):
    folder = weights()
    bench.edit_config(folder, intermediate_size=128)
    with pytest.raises(
        ParameterError, match=r"6 tensors of .* such as .*down_proj\.weight: \(32, 96\) instead of \(32, 128\)"
    ):
        load(folder, tokenizer)


def test_tensors_without_a_place_are_told_and_left_out(weights, tokenizer, caplog):
    folder = weights()
    edit_tensors(folder, lambda tensors: tensors.update({"value_head.weight": torch.ones(3)}))
    with caplog.at_level(logging.WARNING):
        check_weights(folder, tokenizer=tokenizer, context=32)
        load(folder, tokenizer)
    assert "1 tensors have no place in Qwen3ForCausalLM and are left out: value_head.weight" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("architecture", "how"),
    [("gpt2", "it has learned no further positions"), ("qwen3", "its rotations were learned so far")],
)
def test_blocks_longer_than_the_positions_are_refused(weights, tokenizer, architecture, how):
    with pytest.raises(
        ParameterError, match=rf"blocks of 64 tokens .* 32 positions .*{how}\); set shard\.context to 32"
    ):
        load(weights(architecture), tokenizer, context=64)


def test_blocks_longer_than_a_sliding_window_are_refused(bench, weights, tokenizer):
    folder = weights("llama")
    bench.edit_config(folder, model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=16)
    with pytest.raises(ParameterError, match=r"mistral: it looks no further back.*set shard\.context to 16"):
        load(folder, tokenizer, context=17)
    load(folder, tokenizer, context=16)


@pytest.mark.parametrize("architecture", ["bloom", "t5"])
def test_relative_positions_take_blocks_of_any_length(weights, tokenizer, architecture):
    load(weights(architecture), tokenizer, context=4096)


def test_special_tokens_are_those_of_our_tokenizer_and_learned_ends_stay(bench, weights, tokenizer):
    folder = weights()
    bench.edit_config(folder, eos_token_id=[7, 9], bos_token_id=5, pad_token_id=None)
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    model = load(folder, tokenizer)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (0, 0, 1)
    assert model.generation_config.eos_token_id == [0, 7, 9]


def test_new_tokens_make_new_rows_and_learn(bench, weights, larger_tokenizer):
    model = load(weights(), larger_tokenizer, multiple=64)
    assert model.config.vocab_size == 320
    new = bench.vocab_size(larger_tokenizer) - 1
    bench.logits(model, torch.tensor([[2, new, 3]])).logsumexp(-1).sum().backward()
    assert model.get_input_embeddings().weight.grad[new].any()
