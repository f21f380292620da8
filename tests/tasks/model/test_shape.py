"""The shape of a model: exact sizes, and a dial with published proportions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.errors import ParameterError
from params.model import ModelParams
from tasks.model.build import num_parameters
from tasks.model.shape import choose_shape, describe_shape, padded

DIALLED = {"vocab_size": 4096, "context": 256}


@pytest.mark.parametrize(
    "fields",
    [
        {"architecture": "qwen3", "heads": 4, "kv_heads": 2, "tie_embeddings": False},
        {"architecture": "qwen3", "heads": 2, "head_dim": 64},
        {"architecture": "llama", "heads": 4, "kv_heads": 1, "ffn_width": 200},
        {"architecture": "gpt2", "heads": 2, "tie_embeddings": False},
        {"architecture": "gpt2", "heads": 2, "ffn_width": 96},
        {"architecture": "bloom", "heads": 4},
        {"architecture": "bloom", "heads": 4, "tie_embeddings": False},
        {"architecture": "t5", "heads": 2, "head_dim": 16},
    ],
)
def test_a_size_is_counted_exactly_before_the_model_is_made(bench, fields):
    params = ModelParams(layers=3, width=64, **fields)
    shape = choose_shape(params, vocab_size=310, context=bench.context)
    model = bench.model(**{"layers": 3, "width": 64, **fields})
    assert shape.num_parameters(vocab_size=310, context=bench.context) == num_parameters(model)


def test_a_depth_of_twelve_is_the_smallest_model_of_gpt3():
    """Brown et al. 2020, table 2.1, GPT-3 Small: 12 layers of 768, 12 heads of 64, feed-forward 4 times as wide."""
    shape = choose_shape(ModelParams(architecture="gpt2", depth=12), vocab_size=50257, context=1024)
    assert (shape.layers, shape.width, shape.heads, shape.head_dim, shape.ffn_width) == (12, 768, 12, 64, 3072)
    assert shape.num_parameters(vocab_size=50257, context=1024) == 124_439_808  # as of GPT-2 on the hub


def test_twelve_million_are_six_layers_of_384():
    """The model that our measurements of training are made with."""
    params = ModelParams(parameters="12M")
    shape = choose_shape(params, **DIALLED)
    assert (shape.layers, shape.width, shape.heads) == (6, 384, 6)
    assert describe_shape(params, shape, **DIALLED).endswith(
        "12,195,456 parameters, 1,572,864 of them the vocabulary; 12,000,000 asked for (+1.6%)"
    )


@given(
    size=st.integers(3_000_000, 8_000_000_000),
    architecture=st.sampled_from(["qwen3", "llama", "gpt2", "bloom", "t5"]),
)
def test_the_dial_is_met_within_a_tenth(size, architecture):
    shape = choose_shape(ModelParams(architecture=architecture, parameters=size), **DIALLED)
    assert shape.num_parameters(**DIALLED) == pytest.approx(size, rel=0.1)
    assert shape.width % 32 == 0
    assert shape.heads * shape.head_dim == shape.width
    assert shape.heads % shape.kv_heads == 0
    assert 16 <= shape.width / shape.layers <= 160


def test_what_is_set_overrules_the_dial_and_the_rest_makes_up_for_it():
    shape = choose_shape(ModelParams(parameters="12M", layers=12), **DIALLED)
    assert shape.layers == 12
    assert shape.width < 384
    shape = choose_shape(ModelParams(parameters="12M", width=512, heads=4), **DIALLED)
    assert (shape.width, shape.heads, shape.head_dim) == (512, 4, 128)
    shape = choose_shape(ModelParams(parameters="12M", kv_heads=2), **DIALLED)
    assert (shape.kv_heads, shape.heads % 2) == (2, 0)
    shape = choose_shape(ModelParams(depth=6, heads=3), **DIALLED)
    assert (shape.layers, shape.width, shape.heads, shape.head_dim) == (6, 384, 3, 128)


def test_layers_alone_are_a_depth_and_nothing_at_all_is_a_depth_of_six():
    assert choose_shape(ModelParams(layers=4), **DIALLED) == choose_shape(ModelParams(depth=4), **DIALLED)
    assert choose_shape(ModelParams(), **DIALLED) == choose_shape(ModelParams(depth=6), **DIALLED)


def test_wide_models_share_keys_and_values_among_four_heads():
    shape = choose_shape(ModelParams(depth=32), **DIALLED)
    assert (shape.width, shape.heads, shape.kv_heads, shape.head_dim) == (2048, 16, 4, 128)


def test_a_dial_that_the_vocabulary_alone_overruns_is_refused_with_its_share():
    with pytest.raises(
        ParameterError, match=r"the nearest has 4,8\d\d,\d+, of which the vocabulary of 150,000 takes 4,800,000"
    ):
        choose_shape(ModelParams(parameters="1M"), vocab_size=150_000, context=256)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 100}, "width 100 is no multiple of head_dim 32; set heads"),
        ({"depth": 6, "heads": 5}, "width 384 must be an even multiple of heads 5"),
        ({"depth": 6, "kv_heads": 4}, "kv_heads 4 must divide the 6 heads of width 384"),
        ({"architecture": "gpt2", "depth": 6, "heads": 4, "head_dim": 64}, "4 heads of 64 do not make width 384"),
        ({"architecture": "gpt2", "parameters": "500M", "heads": 2, "head_dim": 32}, "no shape comes near"),
        (
            {"architecture": "gpt2", "parameters": "500M", "heads": 3, "head_dim": 30},
            "no width suits heads 3 of head_dim",
        ),
    ],
)
def test_heads_that_do_not_fit_what_follows_from_the_dial_are_refused(fields, message):
    with pytest.raises(ParameterError, match=message):
        choose_shape(ModelParams(**fields), **DIALLED)


@given(vocab_size=st.integers(1, 10**6), multiple=st.integers(1, 1024))
def test_rows_are_the_next_multiple(vocab_size, multiple):
    rows = padded(vocab_size, multiple)
    assert rows % multiple == 0
    assert 0 <= rows - vocab_size < multiple
    assert padded(vocab_size, None) == vocab_size
