"""The loss of preferences against the published formula, done by hand on answers one by one."""

import math

import numpy as np
import pytest
import torch

from params.model import LoraParams
from params.objective import PreferenceParams
from params.train import ModelParams
from tasks.model.build import build_model
from tasks.model.lora import add_adapter
from tasks.model.start import StartedModel
from tasks.training.batch import IGNORED
from tasks.training.preference import PairFeed, PreferenceLoss, rewards

CPU = torch.device("cpu")
CONTEXT = 12
PAIRS = (([3, 4, 5, 6], [3, 4, 7]), ([8, 9, 2], [8, 9, 5, 5, 2]), ([4, 4, 6, 6, 2], [4, 9]))
"""Tokens of chosen and rejected answers; the first two (of the last, one) are the prompt."""


def model_with(noise_seed: int):
    params = ModelParams(layers=2, width=32, heads=2)
    model = build_model(params, vocab_size=16, context=CONTEXT, begin=0, end=0, padding=1, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(noise_seed)))
    return model


def packed(pairs) -> tuple[np.ndarray, ...]:
    """One block: tokens, targets and segments of the chosen, then of the rejected answers."""
    columns = []
    for side in (0, 1):
        tokens, targets, segments = (np.full((1, CONTEXT), fill) for fill in (1, IGNORED, 0))
        at = 0
        for number, pair in enumerate(pairs, start=1):
            text = pair[side]
            here = slice(at, at + len(text) - 1)
            tokens[0, here], segments[0, here] = text[:-1], number
            targets[0, here] = [IGNORED, *text[2:]] if len(pair[1]) > 2 else text[1:]
            at += len(text) - 1
        columns += [tokens, targets, segments]
    return tuple(columns)


def log_prob(model, text, num_prompt: int) -> float:
    """Of the tokens behind the prompt, by the plain forward pass over this text alone."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
    return sum(float(logits[at - 1, text[at]]) for at in range(num_prompt, len(text)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_packed_pairs_is_the_published_formula(smoothing):
    policy, reference = model_with(1), model_with(2)
    params = PreferenceParams(beta=0.3, label_smoothing=smoothing)
    loss = PreferenceLoss(StartedModel(policy, None), params)
    loss.reference = reference
    feed = PairFeed.__new__(PairFeed)  # only how rows become tensors
    rows = packed(PAIRS)
    with torch.no_grad():
        sums = loss(*PairFeed.batch(feed, rows, CPU).tensors)
    expected, margins = 0.0, []
    for chosen, rejected in PAIRS:
        prompt = 2 if len(rejected) > 2 else 1
        ratio = [log_prob(policy, text, prompt) - log_prob(reference, text, prompt) for text in (chosen, rejected)]
        margin = 0.3 * (ratio[0] - ratio[1])
        margins.append(margin)
        expected -= (1 - smoothing) * math.log(1 / (1 + math.exp(-margin)))
        expected -= smoothing * math.log(1 / (1 + math.exp(margin)))
    assert float(sums[0]) == pytest.approx(expected, rel=1e-4)
    found = rewards(sums, feed.count(rows))
    assert found["reward_margin"] == pytest.approx(sum(margins) / 3, rel=1e-3, abs=1e-5)
    assert found["reward_accuracy"] == pytest.approx(sum(margin > 0 for margin in margins) / 3)


def test_a_model_that_is_its_own_reference_loses_ln_2_a_pair():
    rows = packed(PAIRS)
    feed = PairFeed.__new__(PairFeed)
    sums = PreferenceLoss(StartedModel(model_with(1), None), PreferenceParams())(*feed.batch(rows, CPU).tensors)
    assert float(sums[0].detach()) == pytest.approx(3 * math.log(2), rel=1e-5)
    assert sums[1:].tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_with_adapters_the_reference_is_the_model_without_them():
    rows, feed = packed(PAIRS), PairFeed.__new__(PairFeed)
    plain = model_with(1)
    texts = [text for pair in PAIRS for text in pair]
    before = [log_prob(plain, text, 1) for text in texts]
    adapter = add_adapter(plain, LoraParams(rank=2), base="x", new_tokens=(), seed=1)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.1)
    loss = PreferenceLoss(StartedModel(plain, adapter), PreferenceParams(beta=1.0))
    assert loss.reference is None
    sums = loss(*feed.batch(rows, CPU).tensors)
    sums[0].backward()
    learned = {name: parameter for name, parameter in plain.named_parameters() if parameter.requires_grad}
    assert learned
    assert all("lora" in name and parameter.grad is not None for name, parameter in learned.items())
    after = [log_prob(plain, text, 1) for text in texts]
    assert before != pytest.approx(after)  # the adapters are on again
    rewarded = sum(log_prob(plain, c, 2 if len(r) > 2 else 1) for c, r in PAIRS)
    with adapter.disable_adapter():
        rewarded -= sum(log_prob(plain, c, 2 if len(r) > 2 else 1) for c, r in PAIRS)
    assert float(sums[3]) == pytest.approx(rewarded, rel=1e-3, abs=1e-4)
