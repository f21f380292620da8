"""Span corruption by the numbers of the paper, and packed pairs against transformers on one pair a row."""

import numpy as np
import pytest
import torch

from params.objective import SpanParams
from params.train import ModelParams
from tasks.model.build import build_model
from tasks.training.batch import IGNORED, text_pairs
from tasks.training.text_pairs import PairLoss, corrupt

SENTINELS = list(range(1000, 1100))
CPU = torch.device("cpu")


def undone(source: np.ndarray, target: np.ndarray) -> list[int]:
    """The text again: each sentinel of the source replaced by what follows it in the target."""
    spans: dict[int, list[int]] = {}
    for token in target.tolist():
        if token >= 1000:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [word for token in source.tolist() for word in (spans[token] if token >= 1000 else [token])]


def test_of_512_tokens_77_are_dropped_in_26_spans_and_nothing_is_lost():
    text = np.arange(512)  # 15 % of 512 is 76.8, a third of 77 is 25.7
    lengths = []
    for seed in range(200):
        source, target = corrupt(text, SpanParams(), SENTINELS, np.random.default_rng(seed))
        assert undone(source, target) == text.tolist()
        assert (len(source), len(target)) == (512 - 77 + 26, 77 + 26)
        assert [token for token in source.tolist() if token >= 1000] == SENTINELS[:26]
        lengths += np.diff([*np.flatnonzero(target >= 1000), len(target)]).tolist()
    assert np.mean(lengths) - 1 == pytest.approx(77 / 26)
    assert max(lengths) > 8  # drawn, not all alike


def test_short_texts_still_lose_one_span():
    source, target = corrupt(np.array([5, 6]), SpanParams(), SENTINELS, np.random.default_rng(0))
    assert source.tolist() == [5, 1000]
    assert target.tolist() == [1000, 6]


def test_a_packed_pair_has_the_loss_it_has_alone():
    model = build_model(
        ModelParams(architecture="t5", layers=2, width=32, heads=2),
        **{"vocab_size": 16, "context": 12, "begin": 0, "end": 0, "padding": 1, "seed": 1},
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    pairs = (([3, 4, 5, 0], [6, 7, 0]), ([8, 9, 0], [2, 3, 4, 5, 0]))
    sources, source_segments, inputs, targets, segments = (np.zeros((1, 12), np.int64) for _ in range(5))
    sources[:], inputs[:], targets[:] = 1, 1, IGNORED
    at = [0, 0]
    expected = 0.0
    for number, (source, target) in enumerate(pairs, start=1):
        sources[0, at[0] : at[0] + len(source)] = source
        source_segments[0, at[0] : at[0] + len(source)] = number
        here = slice(at[1], at[1] + len(target))
        inputs[0, here], targets[0, here], segments[0, here] = [1, *target[:-1]], target, number
        at = [at[0] + len(source), at[1] + len(target)]
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([source]), labels=torch.tensor([target]))
        expected += float(alone.loss) * len(target)
    batch = text_pairs(sources, source_segments, inputs, targets, segments, device=CPU)
    sums = PairLoss(model)(*batch.tensors)
    assert float(sums[0]) == pytest.approx(expected, rel=1e-4)
    sums[0].backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)
