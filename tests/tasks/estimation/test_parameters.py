"""Parameters by formula, against the models that transformers builds."""

import itertools

import pytest
import torch
import transformers

from params.errors import ParameterError
from params.train import ModelParams
from tasks.estimation.parameters import count_parameters, matrix_elements
from tasks.estimation.shape import ModelShape
from tasks.model.build import build_config, hidden_matrices
from tasks.model.shape import choose_shape

VOCAB, CONTEXT, LAYERS = 1000, 64, 3


def built(params: ModelParams) -> torch.nn.Module:
    shape = choose_shape(params, vocab_size=VOCAB, context=CONTEXT)
    config = build_config(shape, vocab_size=VOCAB, context=CONTEXT, begin=0, end=0, padding=1)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


def named(model: torch.nn.Module, *parts: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if any(part in name for part in parts))


CASES = [
    *itertools.product(("qwen3", "llama"), (None, 2, 1), (True, False), (None, 100)),
    *itertools.product(("gpt2",), (None,), (True, False), (None, 100)),
]


@pytest.mark.parametrize(("architecture", "kv_heads", "tied", "ffn_width"), CASES)
def test_parameters_are_those_of_the_built_model(architecture, kv_heads, tied, ffn_width):
    params = ModelParams(
        architecture=architecture,
        layers=LAYERS,
        width=96,
        heads=4,
        kv_heads=kv_heads,
        tie_embeddings=tied,
        ffn_width=ffn_width,
    )
    model = built(params)
    shape = ModelShape.of(params, vocab_size=VOCAB, context=CONTEXT)
    counts = count_parameters(shape)
    hidden = hidden_matrices(model).values()
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.embeddings == named(model, "embed_tokens", "wte", "wpe")
    assert counts.feed_forward == named(model, "mlp.")
    assert counts.norms == named(model, "norm", "ln_")
    assert counts.head == named(model, "lm_head")
    assert matrix_elements(shape) == sum(p.numel() for p in hidden)
    assert sorted(map(sorted, shape.matrices * LAYERS)) == sorted(sorted(p.shape) for p in hidden)
    assert ModelShape.of_config(model.config.to_dict(), context=CONTEXT) == shape


def test_a_bloom_model_counts_from_its_configuration():
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.BloomConfig(vocab_size=VOCAB, hidden_size=96, n_layer=LAYERS, n_head=4)
        )
    shape = ModelShape.of_config(model.config.to_dict(), context=CONTEXT)
    assert count_parameters(shape).total == sum(p.numel() for p in model.parameters())


def test_a_published_model_has_its_published_size():
    """Radford et al. (2019): the smallest GPT-2, 124,439,808 parameters as released."""
    params = ModelParams(architecture="gpt2", layers=12, width=768, heads=12)
    shape = ModelShape.of(params, vocab_size=50_257, context=1024)
    assert count_parameters(shape).total == 124_439_808


def test_an_architecture_without_a_formula_is_named():
    with pytest.raises(ParameterError, match=r"'t5' has no formula here; it knows qwen3, llama, gpt2, bloom"):
        ModelShape.of_config({"model_type": "t5"}, context=CONTEXT)
