"""Folders that are not whole are refused before anything is built from them."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from params.errors import ExportError
from tasks.graph.source import check_folder, load_whole
from tasks.tokenizer.fuzz import fuzzed_texts

NORM = "model.norm.weight"


@pytest.fixture
def folder(workshop, tmp_path):
    return shutil.copytree(workshop.model("qwen3").folder / "model", tmp_path / "model")


def change(folder, **tensors):
    """Rewrite the weights with some of them replaced; None takes one out."""
    path = folder / "model.safetensors"
    weights = load_file(path) | tensors
    save_file({k: v for k, v in weights.items() if v is not None}, path, metadata={"format": "pt"})


def test_a_whole_folder_is_taken(folder):
    assert check_folder(folder)["model_type"] == "qwen3"
    assert load_whole(folder).config.num_hidden_layers == 2


def test_a_missing_weight_is_named(folder):
    change(folder, **{NORM: None})
    with pytest.raises(ExportError, match=r"lacks weights: model\.norm\.weight; copy the whole folder again"):
        load_whole(folder)


def test_a_surplus_weight_is_named(folder):
    change(folder, **{"model.layers.2.mlp.up_proj.weight": np.ones((3, 3), np.float32)})
    with pytest.raises(ExportError, match=r"without a place: model\.layers\.2\.mlp\.up_proj\.weight"):
        load_whole(folder)


def test_a_weight_of_another_shape_is_named(folder):
    change(folder, **{NORM: np.ones(7, np.float32)})
    with pytest.raises(ExportError, match=r"of another shape: model\.norm\.weight"):
        load_whole(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_named(folder, value):
    change(folder, **{NORM: np.full(64, value, np.float32)})
    with pytest.raises(ExportError, match=r"NaN or infinity in: model\.norm\.weight; export an earlier checkpoint"):
        load_whole(folder)


def test_weights_cut_off_are_told(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ExportError, match="its weights cannot be read"):
        load_whole(folder)


@pytest.mark.parametrize("rows", [390, 391 + 1025])
def test_a_tokenizer_of_another_vocabulary_is_refused_with_both_sizes(folder, rows):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": rows}))
    with pytest.raises(ExportError, match=rf"has 391 entries and the model {rows:,} rows"):
        check_folder(folder)


def test_a_padded_vocabulary_is_taken(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 512}))
    check_folder(folder)


def test_a_folder_without_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ExportError, match=r"tokenizer\.json is missing"):
        check_folder(folder)


def test_fuzzed_texts_hold_lone_ideographs_emoji_and_special_spellings():
    texts = list(fuzzed_texts(300, special=["<|pad|>"]))
    assert texts == list(fuzzed_texts(300, special=["<|pad|>"]))
    assert all(text.encode("utf-8") for text in texts)
    assert any(len(text) == 1 and text >= "一" for text in texts)
    assert any("<|pad|>" in text for text in texts)
    assert any("\U0001f44d" in text for text in texts)
