"""How long a step takes elsewhere."""

from dataclasses import replace

import pytest

from params.train import ModelParams
from tasks.estimation.arithmetic import token_flops
from tasks.estimation.layout import Layout
from tasks.estimation.pace import Step, pace_from_peak, pace_on
from tasks.estimation.shape import ModelShape
from tasks.hardware.accelerators import ACCELERATORS

LARGE = ModelShape.of(
    ModelParams(layers=32, width=4096, heads=32, kv_heads=8, ffn_width=14_336), vocab_size=128_256, context=8192
)
H100 = ACCELERATORS["h100"]


def step(devices: int = 8, shape: ModelShape = LARGE, **changes) -> Step:
    layout = Layout(micro_blocks=1, eval_rows=1, devices=devices, strategy="zero3", muon=False, on_gpu=True)
    return Step(shape, replace(layout, **changes), batch_blocks=devices * 8)


def test_a_large_model_reaches_the_expected_share_and_no_more():
    made = step()
    pace = pace_on(H100, made, precision="bf16")
    share = made.model_flops / pace.step_s / (8 * 989.5e12)
    assert 0.9 * 0.40 < share <= 0.40


def test_a_small_model_cannot_fill_a_large_device():
    tiny = ModelShape.of(ModelParams(layers=4, width=256, heads=4), vocab_size=4096, context=256)
    made = step(devices=1, shape=tiny, strategy="ddp")
    pace = pace_on(H100, made, precision="bf16")
    assert made.model_flops / pace.step_s < 0.1 * 989.5e12
    assert "less where other things take longer" in pace.source


def test_checkpointing_costs_up_to_a_third_and_more_devices_save_time():
    plain = pace_on(H100, step(), precision="bf16").step_s
    again = pace_on(H100, step(checkpointing=True), precision="bf16").step_s
    assert 1.25 < again / plain < 1.34
    double = pace_on(H100, replace(step(16), batch_blocks=64), precision="bf16").step_s
    assert 0.5 <= double / plain < 0.65


def test_here_the_measured_peak_decides():
    """12.2 million parameters at half of 870 GFLOP/s."""
    shape = ModelShape.of(ModelParams(architecture="llama", layers=6, width=384, heads=6), vocab_size=4096, context=256)
    made = Step(shape, Layout(micro_blocks=8, eval_rows=8, muon=False), batch_blocks=8)
    pace = pace_from_peak(made, peak_flops=870e9, compiled=True)
    assert pace.tokens_per_s(made.tokens) == pytest.approx(0.5 * 870e9 / token_flops(shape).total)
