"""Prune on trained models: what is cut, and what it costs."""

import json

import pytest
from transformers import AutoModelForCausalLM

from params.errors import ParameterError
from params.prune import PruneParams
from tasks.prune import prune

HEALED = PruneParams(drop_layers=1, ffn_share=0.5, heal_tokens=64 * 2 * 12, batch_blocks=2, save_every_steps=5)


def pruned(workshop, params, out, architecture="qwen3"):
    (out / "logs").mkdir(parents=True, exist_ok=True)
    return prune.work(params, workshop.model(architecture), workshop.shards(), out=out, run=workshop.run)


def test_the_model_is_smaller_heals_and_loads_as_any_other(workshop, tmp_path):
    metrics = pruned(workshop, HEALED, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (1, 96)
    report = json.loads((tmp_path / "prune.json").read_text())
    assert report["parameters"] == sum(p.numel() for p in model.parameters()) == metrics.counts["parameters"]
    assert json.loads((tmp_path / "stop.json").read_text())["parameters"] == report["parameters"]
    assert report["parameters"] < 0.7 * report["parameters_before"]
    assert report["loss_before"] < report["loss"] < report["loss_cut"]
    assert (tmp_path / "model" / "tokenizer.json").exists()
    steps = [json.loads(line)["step"] for line in (tmp_path / "logs" / "healing.jsonl").read_text().splitlines()]
    assert steps == [10, 12]


def test_the_layer_that_matters_least_goes(workshop, tmp_path):
    pruned(workshop, PruneParams(drop_layers=1, heal_tokens=0), tmp_path)
    report = json.loads((tmp_path / "prune.json").read_text())
    (scan,) = report["scans"]
    assert scan["dropped"] == int(min(scan["loss_without"], key=scan["loss_without"].__getitem__))
    assert report["loss_cut"] == report["loss"] == pytest.approx(min(scan["loss_without"].values()), abs=1e-5)


@pytest.mark.parametrize(
    ("architecture", "params", "message"),
    [
        ("qwen3", PruneParams(drop_layers=2), r"prune\.drop_layers is 2, and the model has 2 layers"),
        ("bloom", PruneParams(ffn_share=0.5), "the feed-forward width of bloom is fixed by its class"),
    ],
)
def test_a_cut_that_cannot_be_made_is_refused(workshop, tmp_path, architecture, params, message):
    with pytest.raises(ParameterError, match=message):
        pruned(workshop, params, tmp_path, architecture)
