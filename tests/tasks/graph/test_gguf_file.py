"""GGUF as transformers reads it: the same logits and tokens; what llama.cpp would misread is refused."""

import json
import shutil

import gguf
import pytest
import torch
from tokenizers import Tokenizer

from params.errors import ExportError
from tasks.graph.gguf_file import read_gguf, word_splitter, write_gguf
from tasks.graph.source import load_whole
from tasks.model.conversion import convert_gguf
from tasks.tokenizer.special import CHATML
from tasks.tokenizer.words import encoding_words


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2"])
def test_a_file_read_back_has_the_very_logits(workshop, tmp_path, architecture):
    folder = workshop.model(architecture).folder / "model"
    model = load_whole(folder)
    write_gguf(model, folder, tmp_path / "m.gguf")
    tokens = torch.arange(2, 42)[None]
    with torch.no_grad():
        assert torch.equal(read_gguf(tmp_path / "m.gguf", model)(tokens).logits, model(tokens).logits)


def test_settings_and_tokenizer_are_in_the_file(workshop, tmp_path):
    folder = shutil.copytree(workshop.model("qwen3").folder / "model", tmp_path / "model")
    (folder / "chat_template.jinja").write_text(CHATML)
    write_gguf(load_whole(folder), folder, tmp_path / "m.gguf")
    fields = {name: field.contents() for name, field in gguf.GGUFReader(tmp_path / "m.gguf").fields.items()}
    assert fields["tokenizer.chat_template"] == CHATML
    assert fields["tokenizer.ggml.pre"] == "gpt-2"
    assert (fields["tokenizer.ggml.bos_token_id"], fields["tokenizer.ggml.padding_token_id"]) == (0, 1)
    assert fields["tokenizer.ggml.token_type"][:3] == [3, 3, 1]
    read = convert_gguf(tmp_path / "m.gguf", cache=tmp_path / "cache")
    mine, theirs = (json.loads((path / "config.json").read_text()) for path in (folder, read))
    shape = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads", "head_dim", "vocab_size")
    assert {name: mine[name] for name in shape} == {name: theirs[name] for name in shape}
    text = "To install the 磨坊 👍🏽 <|pad|>, run 12 times."
    ids = [Tokenizer.from_file(str(path / "tokenizer.json")).encode(text).ids for path in (folder, read)]
    assert ids[1] == [0, *ids[0]]  # readers lead a prompt with the begin token, as training did


@pytest.mark.parametrize(("digits", "name"), [("single", "qwen35"), ("triple", None)])
def test_only_a_way_of_cutting_words_that_llama_cpp_knows_is_named(workshop, tmp_path, digits, name):
    folder = shutil.copytree(workshop.model("qwen3").folder / "model", tmp_path / "model")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = encoding_words(digits)
    tokenizer.save(str(folder / "tokenizer.json"))
    if name:
        assert word_splitter(folder) == name
    else:
        with pytest.raises(ExportError, match="digits: single, or leave gguf out"):
            word_splitter(folder)


def test_an_architecture_that_gguf_is_not_written_for_is_refused(workshop, tmp_path):
    folder = workshop.model("bloom").folder / "model"
    with pytest.raises(ExportError, match="gguf is written for qwen3, llama, gpt2, not for bloom"):
        write_gguf(load_whole(folder), folder, tmp_path / "m.gguf")
