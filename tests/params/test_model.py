"""What a model may be asked to be."""

import pytest
from pydantic import TypeAdapter, ValidationError

from params.model import Count, LoraParams, ModelParams


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("12M", 12_000_000),
        ("1.5B", 1_500_000_000),
        ("350k", 350_000),
        ("12_000_000", 12_000_000),
        (3_000_000, 3_000_000),
    ],
)
def test_a_size_may_be_written_with_its_unit(written, count):
    assert ModelParams(parameters=written).parameters == count


@pytest.mark.parametrize("written", ["12 million", "M", "-3M", "12G", ""])
def test_what_is_no_size_says_how_to_write_one(written):
    with pytest.raises(ValidationError, match=r"is no count; write 12M, 1\.5B, 350K or 12_000_000"):
        ModelParams(parameters=written)


def test_editors_accept_both_ways_to_write_a_size():
    assert [kind["type"] for kind in TypeAdapter(Count).json_schema()["anyOf"]] == ["integer", "string"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": "12M", "depth": 6}, "both dials of the size"),
        ({"width": 100, "heads": 3}, "width 100 must be an even multiple of heads 3"),
        ({"width": 96, "head_dim": 64}, "width 96 is no multiple of head_dim 64"),
        ({"head_dim": 33}, "head_dim 33 must be even"),
        ({"heads": 6, "kv_heads": 4}, "kv_heads 4 must divide heads 6"),
        ({"architecture": "gpt2", "heads": 4, "kv_heads": 2}, "gpt2 has as many key/value heads as heads"),
        ({"architecture": "bloom", "ffn_width": 512}, "bloom has a feed-forward layer of 4 times its width"),
        ({"architecture": "gpt2", "width": 64, "heads": 2, "head_dim": 64}, "gpt2 has heads of width / heads = 32"),
        ({"architecture": "t5", "tie_embeddings": False}, "t5 has one matrix for embeddings and logits"),
        ({"architecture": "qwen"}, "Input should be 'qwen3', 'llama', 'gpt2', 'bloom' or 't5'"),
        ({"from_weights": "folder", "layers": 2, "width": 64}, "brings its own shape; set layers, width to null"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_remedy(fields, message):
    with pytest.raises(ValidationError, match=message):
        ModelParams(**fields)


def test_heads_need_not_share_the_width_out_where_the_architecture_is_free():
    assert ModelParams(architecture="qwen3", width=96, heads=4, head_dim=64).head_dim == 64


def test_parameters_come_back_from_the_job_file_as_they_went():
    for params in (ModelParams(parameters="3M"), ModelParams(from_weights="folder", lora=LoraParams(rank=4))):
        assert ModelParams.model_validate_json(params.model_dump_json()) == params
