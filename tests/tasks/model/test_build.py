"""Models from configuration: standard classes that learn, save and load."""

import pytest
import torch

from params.model import ModelParams
from tasks.model.build import build_model, hidden_matrices, is_output_projection

ARCHITECTURES = ("qwen3", "llama", "gpt2", "bloom", "t5")
SPECIAL = {"begin": 0, "end": 0, "padding": 1}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_learns_is_saved_and_loads_with_the_same_logits(bench, architecture, tmp_path):
    model, ids = bench.model(architecture), bench.ids()
    logits = bench.logits(model, ids)
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    model.save_pretrained(tmp_path)
    assert torch.equal(bench.logits(bench.load(tmp_path), ids), logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_block_of_a_new_model_begins_as_the_identity(bench, architecture):
    """Zero output projections: attention and feed-forward layers add nothing yet, so their inputs get no gradient."""
    params = ModelParams(architecture=architecture, layers=2, width=32, heads=2)
    model = build_model(params, vocab_size=310, context=bench.context, **SPECIAL, seed=1)
    zero = {name for name, parameter in model.named_parameters() if parameter.ndim == 2 and not parameter.any()}
    assert zero == {name for name, _ in model.named_parameters() if is_output_projection(name)}
    blocks = 2 + 2 if architecture == "t5" else 2
    assert len(zero) == 2 * blocks + (2 if architecture == "t5" else 0)  # a decoder of t5 attends to the encoder, too
    logits = bench.logits(model, bench.ids())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("q_proj", "c_attn", "query_key_value", ".q.")):
                parameter.add_(1.0)
    torch.testing.assert_close(bench.logits(model, bench.ids()), logits)


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("qwen3", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ("llama", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ("gpt2", {"c_attn", "c_proj", "c_fc"}),
        ("bloom", {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}),
        ("t5", {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}),
    ],
)
def test_muon_gets_the_matrices_between_embeddings_and_logits(bench, architecture, names):
    found = hidden_matrices(bench.model(architecture, tie_embeddings=architecture == "t5"))
    assert {name.split(".")[-2] for name in found} == names
    assert all(parameter.ndim == 2 for parameter in found.values())
    assert hidden_matrices(bench.model(architecture)).keys() == found.keys()


def test_frozen_matrices_are_not_for_muon(bench):
    model = bench.model("qwen3")
    model.model.layers[0].requires_grad_(False)
    assert {name.split(".")[2] for name in hidden_matrices(model)} == {"1"}


def test_a_head_of_classes_is_not_for_muon():
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_labels=3
    )
    assert "score.weight" not in hidden_matrices(LlamaForSequenceClassification(config))


def test_the_vocabulary_is_filled_up_to_a_multiple(bench):
    model = bench.model("qwen3", vocab_size=310, vocabulary_multiple=64)
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] == 320


def test_positions_reach_as_far_as_the_blocks(bench):
    assert bench.model("gpt2").config.n_positions == bench.context
    assert bench.model("qwen3").config.max_position_embeddings == bench.context


def test_the_same_seed_gives_the_same_weights(bench):
    first, again, other = (bench.model("qwen3", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
