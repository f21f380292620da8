"""Compress on exported models."""

import json

import pytest

from params.compress import CompressParams
from tasks.compress import compress
from tasks.serving.generator import OnnxModel, Sampling
from tasks.serving.rows import make_rows, row_bytes

VARIANTS = ("int8", "int4", "int4_gptq", "int8_dynamic", "fp16", "bf16")


@pytest.mark.parametrize("architecture", ["qwen3", "gpt2"])
def test_every_variant_is_complete_smaller_and_nearly_as_good(workshop, architecture):
    made = workshop.variants(architecture)
    quality = json.loads((made.folder / "quality.json").read_text())
    assert list(quality) == ["fp32", *VARIANTS]
    size = {name: found["bytes"] for name, found in quality.items()}
    assert size["int4"] == size["int4_gptq"] < size["int8"] < size["int8_dynamic"] < size["fp16"] < size["fp32"] * 0.7
    assert size["fp16"] == size["bf16"]
    assert all(abs(quality[name]["loss_increase"]) < 0.01 for name in ("int8", "int8_dynamic", "fp16", "bf16"))
    assert quality["fp16"]["kl"] < quality["bf16"]["kl"] < quality["int8_dynamic"]["kl"]
    assert quality["int8"]["kl"] < max(quality[name]["kl"] for name in ("int4", "int4_gptq")) < 0.1
    assert quality["int8"]["greedy_agreement"] == 1.0
    for name in VARIANTS:
        written = OnnxModel(made.folder / name).generate(["To install"], greedy=True, max_new_tokens=4)
        assert written[0][0] == " the package, run"
        assert made.metrics.values[f"{name}_decode_tokens_per_s"] > 0


def test_the_smallest_variant_is_picked_and_the_sweep_is_plotted(workshop):
    made = workshop.variants("qwen3")
    sweep = json.loads((made.folder / "logs" / "sweep.json").read_text())
    picked = json.loads((made.folder / "picked.json").read_text())
    smallest = min(sweep, key=lambda name: (sweep[name]["size_bytes"], sweep[name]["loss_increase"]))
    assert (
        picked == {"variant": smallest, "by": "smallest"} == {"variant": made.metrics.facts["picked"], "by": "smallest"}
    )
    assert [name for name, point in sweep.items() if point["picked"]] == [smallest]
    assert smallest in ("int4", "int4_gptq")
    assert (made.folder / "logs" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_speed_is_in_no_file(workshop):
    made = workshop.variants("qwen3")
    text = (made.folder / "quality.json").read_text()
    assert "tokens_per_s" not in text
    assert not [record.path for record in made.files if not record.volatile and "sweep" in record.path]


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
    params = CompressParams(variants=VARIANTS, check_blocks=2, greedy_tokens=16, max_loss_increase=0.5)
    compress.work(params, workshop.graph("qwen3"), workshop.shards(), out=tmp_path, run=workshop.run)
    made = workshop.variants("qwen3")
    for record in (record for record in made.files if not record.volatile):
        assert (tmp_path / record.path).read_bytes() == (made.folder / record.path).read_bytes()


def test_with_an_int8_cache_what_is_written_is_as_good_step_by_step(workshop, tmp_path):
    params = CompressParams(variants=("int8", "int4"), cache="int8", check_blocks=2, greedy_tokens=16)
    compress.work(params, workshop.graph("qwen3"), workshop.shards(), out=tmp_path, run=workshop.run)
    quality = json.loads((tmp_path / "quality.json").read_text())
    plain = json.loads((workshop.variants("qwen3").folder / "quality.json").read_text())
    assert quality["int8"]["kl"] < 3 * plain["int8"]["kl"] + 1e-4
    assert quality["int8"]["greedy_agreement"] == 1.0
    model = OnnxModel(tmp_path / "int8")
    rows = make_rows(model.session, model.settings, max_rows=2)
    assert row_bytes(model.session, model.settings) == 2 * 2 * 2 * 64 * 16  # k and v, layers, heads, places, size
    rows.begin()
    prompt = model.encode("The mill")
    made = [int(rows.extend(prompt)[-1].argmax())]
    rows.join()
    made.append(int(rows.step(made)[0].argmax()))
    assert [made] == model.generate_tokens([prompt], Sampling(greedy=True, max_new_tokens=2), end_token=-1)
    assert model.generate(["To install"], greedy=True, max_new_tokens=4)[0][0] == " the package, run"
