"""The first change that makes a step fit: computed, and the mildest."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.load import parse_assignments
from params.train import ModelParams
from tasks.estimation.fitting import Options, first_fit, model_settings
from tasks.estimation.layout import STRATEGIES, Layout
from tasks.estimation.memory import memory_parts
from tasks.estimation.scaling import resized
from tasks.estimation.shape import ModelShape

GIB = 1 << 30
SHAPE = ModelShape.of(ModelParams(layers=16, width=1024, heads=16, kv_heads=4), vocab_size=32_000, context=1024)
LAYOUT = Layout(micro_blocks=8, eval_rows=16, devices=8, on_gpu=True)
ALL = Options(checkpointing="train.checkpointing=true", strategies=STRATEGIES)


def needed(layout: Layout, shape: ModelShape = SHAPE) -> int:
    return memory_parts(shape, layout).total


def test_what_fits_is_not_changed():
    fit = first_fit(SHAPE, LAYOUT, needed(LAYOUT), options=ALL)
    assert fit is not None
    assert fit.changes == ()


def test_smaller_micro_batches_come_first_and_the_largest_that_fits_is_taken():
    fit = first_fit(SHAPE, LAYOUT, needed(replace(LAYOUT, micro_blocks=4)), options=ALL)
    assert fit is not None
    assert fit.changes == ("train.micro_blocks=4",)


def test_then_checkpointing_then_zero_then_a_smaller_model():
    one = replace(LAYOUT, micro_blocks=1, eval_rows=1)
    recomputed = replace(one, checkpointing=True)
    sharded = replace(recomputed, strategy="zero2")
    for available, last in (
        (needed(recomputed), "train.checkpointing=true"),
        (needed(sharded), "run.parallel=zero2"),
    ):
        fit = first_fit(SHAPE, LAYOUT, available, options=ALL)
        assert fit is not None
        assert fit.changes[-1] == last
    small = first_fit(SHAPE, LAYOUT, 2 * GIB, options=ALL)
    assert small is not None
    assert small.shape.width < SHAPE.width
    assert f"train.model.width={small.shape.width}" in small.changes


def test_what_the_machine_cannot_do_is_not_advised():
    fit = first_fit(SHAPE, replace(LAYOUT, devices=1), needed(replace(LAYOUT, devices=1)) // 4, options=Options())
    assert fit is not None
    assert all("=" in change for change in fit.changes)


def test_where_nothing_helps_there_is_no_advice():
    assert first_fit(SHAPE, LAYOUT, 1000, options=ALL) is None


@given(st.integers(GIB // 2, 64 * GIB))
def test_whatever_is_advised_fits(available):
    fit = first_fit(SHAPE, LAYOUT, available, options=ALL)
    if fit is not None:
        assert memory_parts(fit.shape, fit.layout).total == fit.parts.total <= available


@pytest.mark.parametrize("depth", [1, 2, 7, 12])
def test_the_settings_of_a_model_make_that_model(depth):
    shape = resized(SHAPE, depth)
    tree = parse_assignments(model_settings(shape))["train"]["model"]
    made = ModelShape.of(ModelParams(**tree), vocab_size=32_000, context=1024)
    assert replace(made, ffn_width=shape.ffn_width) == shape
    assert made.ffn_width == pytest.approx(shape.ffn_width, abs=32)
