"""What running a graph takes, read from the configurations of transformers."""

import pytest
from transformers import BloomConfig, GPT2Config, LlamaConfig, Qwen3Config

from params.errors import ExportError
from tasks.graph.served import generation_settings, write_companions


def test_gpt2_has_names_of_its_own():
    config = GPT2Config(n_positions=128, n_embd=48, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    found = generation_settings(config.to_dict(), context=64)
    shape = {
        name: found[name] for name in ("context_length", "num_layers", "num_kv_heads", "head_dim", "in_place_cache")
    }
    assert shape == {"context_length": 128, "num_layers": 3, "num_kv_heads": 4, "head_dim": 12, "in_place_cache": False}


def test_grouped_query_attention_and_an_explicit_head_size_are_taken_over():
    config = Qwen3Config(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=99
    )
    found = generation_settings(
        {**config.to_dict(), "bos_token_id": 5, "eos_token_id": 5, "pad_token_id": 6}, context=64
    )
    assert (found["num_kv_heads"], found["head_dim"], found["context_length"]) == (2, 32, 99)
    assert (found["bos_token_id"], found["eos_token_id"], found["pad_token_id"]) == (5, 5, 6)


def test_a_head_size_that_is_not_given_follows_from_the_width():
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, pad_token_id=1).to_dict()
    assert generation_settings({**config, "head_dim": None}, context=64)["head_dim"] == 16


def test_an_architecture_without_limit_has_the_context_it_was_trained_on():
    config = BloomConfig(hidden_size=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    found = generation_settings(config.to_dict(), context=77)
    assert (found["context_length"], found["num_layers"], found["num_kv_heads"], found["head_dim"]) == (77, 2, 4, 16)


def test_a_model_without_tokenizer_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"tokenizer.json is missing"):
        write_companions(tmp_path, tmp_path, context=64)
