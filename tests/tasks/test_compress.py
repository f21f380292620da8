"""Compress on exported models."""

import json

import pytest

from params.compress import CompressParams
from tasks.compress import compress
from tasks.serving.generator import OnnxModel


@pytest.mark.parametrize("architecture", ["qwen3", "gpt2"])
def test_every_variant_is_complete_smaller_and_nearly_as_good(workshop, architecture):
    made = workshop.variants(architecture)
    quality = json.loads((made.folder / "quality.json").read_text())
    assert list(quality) == ["fp32", "int8", "int4"]
    assert quality["int4"]["bytes"] < quality["int8"]["bytes"] < quality["fp32"]["bytes"] / 2
    assert abs(quality["int8"]["loss_increase"]) < 0.01
    assert quality["int8"]["kl"] < quality["int4"]["kl"] < 0.1
    assert quality["int8"]["greedy_agreement"] == 1.0
    for name in ("int8", "int4"):
        assert (
            OnnxModel(made.folder / name).generate(["To install"], greedy=True, max_new_tokens=4)[0][0]
            == " the package, run"
        )
        assert made.metrics.values[f"{name}_decode_tokens_per_s"] > 0


def test_speed_is_in_no_file(workshop):
    text = (workshop.variants("qwen3").folder / "quality.json").read_text()
    assert "tokens_per_s" not in text


def test_a_variant_that_loses_too_much_is_removed_with_the_reason(workshop, tmp_path, caplog):
    params = CompressParams(variants=("int4",), check_blocks=1, greedy_tokens=4, max_loss_increase=1e-9)
    metrics = compress.work(params, workshop.graph("gpt2"), workshop.shards(), out=tmp_path, run=workshop.run)
    assert not (tmp_path / "int4").exists()
    reason = metrics.facts["int4_rejected"]
    assert reason.endswith("nats per token over fp32, compress.max_loss_increase is 1e-09")
    assert json.loads((tmp_path / "quality.json").read_text())["int4"]["rejected"] == reason
    assert f"int4 is not kept: {reason}" in caplog.text
    assert metrics.facts["variants"] == "fp32"


def test_a_second_compression_gives_the_same_bytes(workshop, tmp_path):
    params = CompressParams(variants=("int8", "int4"), check_blocks=2, greedy_tokens=16, max_loss_increase=0.5)
    compress.work(params, workshop.graph("qwen3"), workshop.shards(), out=tmp_path, run=workshop.run)
    made = workshop.variants("qwen3")
    for record in made.files:
        assert (tmp_path / record.path).read_bytes() == (made.folder / record.path).read_bytes()
