"""Cutting leaves the rest of a model as it was."""

import pytest
import torch

from params.model import ModelParams
from tasks.compression.cutting import kept_width, with_neurons, without_layer
from tasks.compression.importance import layers_of, losses_without_a_layer, mean_loss, neuron_scores
from tasks.model.build import build_model
from tasks.training.batch import make_batch

ARCHITECTURES = ("qwen3", "llama", "gpt2", "bloom")


def build(architecture):
    params = ModelParams(architecture=architecture, layers=3, width=64, heads=2)
    model = build_model(params, vocab_size=50, context=16, begin=0, end=0, padding=1, seed=0)
    torch.manual_seed(1)
    for parameter in model.parameters():  # output projections start at zero, which would hide everything
        torch.nn.init.normal_(parameter, std=0.2)
    return model.train(False)


@pytest.fixture
def batches():
    blocks = torch.randint(2, 50, (2, 17), generator=torch.Generator().manual_seed(0)).numpy()
    return [make_batch(blocks, begin=0, padding=1, device=torch.device("cpu"))]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_model_without_a_layer_loses_what_the_scan_said(architecture, index, batches):
    model = build(architecture)
    cut = without_layer(model, index)
    assert len(layers_of(cut)) == cut.config.num_hidden_layers == 2
    assert mean_loss(cut, batches) == pytest.approx(losses_without_a_layer(model, batches)[index], rel=1e-5)


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2"])
def test_neurons_that_write_nothing_go_first_and_are_not_missed(architecture, batches):
    model = build(architecture)
    for layer in layers_of(model):
        projection = getattr(layer.mlp, "down_proj", None) or layer.mlp.c_proj
        weight = projection.weight.data
        silent = torch.randperm(max(weight.shape))[32:]
        if isinstance(projection, torch.nn.Linear):
            weight[:, silent] = 0
        else:
            weight[silent] = 0
    scores = neuron_scores(model, batches)
    assert [int((layer > 0).sum()) for layer in scores] == [32, 32, 32]
    cut = with_neurons(model, scores, 32 / len(scores[0]))
    assert len(neuron_scores(cut, batches)[0]) == 32
    assert mean_loss(cut, batches) == pytest.approx(mean_loss(model, batches), rel=1e-5)


def test_a_score_is_mean_activation_times_norm(batches):
    model = build("llama")
    seen = []
    projection = layers_of(model)[1].mlp.down_proj
    projection.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach()))
    score = neuron_scores(model, batches)[1]
    expected = seen[0].abs().sum((0, 1)) * projection.weight.detach().square().sum(0).sqrt()
    torch.testing.assert_close(score.float(), expected)


def test_widths_are_whole_blocks():
    assert [kept_width(192, share) for share in (1.0, 0.5, 0.6, 0.01)] == [192, 96, 128, 32]
    assert kept_width(20, 0.5) == 20
