"""Pickles and GGUF files become folders of safetensors."""

import json

import gguf
import pytest
import torch
from tokenizers import Tokenizer

from params.errors import ParameterError
from tasks.model.conversion import convert_gguf, convert_pickles


class Attack:
    """A pickle that would make a file while it is read."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def pickled(bench, folder):
    """A folder as transformers 2 left it."""
    model = bench.model("gpt2")
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


def test_a_pickle_of_tensors_becomes_safetensors_with_the_same_logits(bench, tmp_path):
    model = pickled(bench, tmp_path / "weights")
    folder = convert_pickles(tmp_path / "weights", cache=tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    assert torch.equal(bench.logits(bench.load(folder), bench.ids()), bench.logits(model, bench.ids()))
    loaded = bench.load(folder)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    before = (folder / "model.safetensors").stat()
    assert convert_pickles(tmp_path / "weights", cache=tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat() == before


def test_a_pickle_that_holds_code_is_refused_and_the_code_does_not_run(bench, tmp_path):
    pickled(bench, tmp_path / "weights")
    torch.save({"a": Attack(tmp_path / "ran")}, tmp_path / "weights" / "pytorch_model.bin")
    with pytest.raises(
        ParameterError, match=r"pickle that holds more than tensors or is damaged, .*take model\.safetensors"
    ):
        convert_pickles(tmp_path / "weights", cache=tmp_path / "cache")
    assert not (tmp_path / "ran").exists()
    assert not list(tmp_path.glob("cache/*/model.safetensors"))


@pytest.mark.parametrize("content", [{"step": 3}, [torch.ones(2)]])
def test_a_pickle_of_something_else_is_refused(bench, tmp_path, content):
    pickled(bench, tmp_path / "weights")
    torch.save(content, tmp_path / "weights" / "pytorch_model.bin")
    with pytest.raises(ParameterError, match="is not a dictionary of tensors"):
        convert_pickles(tmp_path / "weights", cache=tmp_path / "cache")


def write_gguf(path, model, tokenizer_folder, kind=None) -> None:
    """A Qwen3 file as llama.cpp's converter lays it out; matrices of the blocks quantized to a kind."""
    config = model.config
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    add_tokenizer(writer, tokenizer_folder)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        there = names.get_name(name, try_suffixes=(".weight",))
        if kind is None or values.ndim < 2 or "embed" in name:
            writer.add_tensor(there, values)
        else:
            writer.add_tensor(there, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, folder) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([3 if index < 2 else 1 for _, index in tokens])
    writer.add_token_merges([" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(1)


def test_a_gguf_file_gives_the_model_and_the_tokenizer_it_was_made_of(bench, tokenizer, tmp_path):
    model = bench.model("qwen3", vocab_size=bench.vocab_size(tokenizer), kv_heads=1, head_dim=16)
    write_gguf(tmp_path / "mill.gguf", model, tokenizer)
    folder = convert_gguf(tmp_path / "mill.gguf", cache=tmp_path / "cache")
    assert torch.equal(bench.logits(bench.load(folder), bench.ids()), bench.logits(model, bench.ids()))
    ours, theirs = (Tokenizer.from_file(str(path / "tokenizer.json")) for path in (tokenizer, folder))
    assert theirs.get_vocab() == ours.get_vocab()
    assert theirs.encode("The mill 床前").ids == ours.encode("The mill 床前").ids


def test_a_quantized_gguf_file_is_dequantized(bench, tokenizer, tmp_path):
    """Q8_0 rounds to 127 steps of the largest of 32 values: weights of some 0.3 move by 0.3 / 254 at most."""
    model = bench.model("qwen3", vocab_size=bench.vocab_size(tokenizer))
    write_gguf(tmp_path / "mill.gguf", model, tokenizer, gguf.GGMLQuantizationType.Q8_0)
    loaded = bench.load(convert_gguf(tmp_path / "mill.gguf", cache=tmp_path / "cache"))
    assert loaded.dtype == torch.float32
    for name, parameter in model.named_parameters():
        stored = loaded.get_parameter(name)
        torch.testing.assert_close(stored, parameter, rtol=0, atol=parameter.detach().abs().max().item() / 250)


def test_a_gguf_file_of_an_unknown_architecture_says_which_are_known(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "odd")
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ParameterError, match=r"cannot be converted .*odd.* reads GGUF files of .*llama.*qwen3"):
        convert_gguf(tmp_path / "odd.gguf", cache=tmp_path / "cache")
