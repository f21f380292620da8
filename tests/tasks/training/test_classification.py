"""Packed classification against the transformers class on one text a row, and metrics done by hand."""

import numpy as np
import pytest
import torch

from params.errors import ParameterError
from params.train import ModelParams
from tasks.model.build import build_model
from tasks.model.classifier import as_classifier
from tasks.training.batch import IGNORED, packed_batch
from tasks.training.classification import LabelLoss, label_metrics

TEXTS, LABELS = ([3, 4, 5], [6, 7], [8, 9, 3, 4]), (1, 0, 2)


def classifier(architecture: str):
    params = ModelParams(architecture=architecture, layers=2, width=32, heads=2)
    model = build_model(params, vocab_size=16, context=12, begin=0, end=0, padding=1, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return as_classifier(model, ("a", "b", "c"), seed=3)


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2", "bloom"])
def test_packed_texts_get_the_logits_that_the_class_gives_each_alone(architecture):
    model = classifier(architecture)
    tokens, targets, segments = (np.full((1, 12), fill) for fill in (1, IGNORED, 0))
    at = 0
    for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True), start=1):
        tokens[0, at : at + len(text)], segments[0, at : at + len(text)] = text, number
        at += len(text)
        targets[0, at - 1] = label
    with torch.no_grad():
        sums = LabelLoss(model)(*packed_batch(tokens, targets, segments, device=torch.device("cpu")).tensors)
        alone = torch.cat([model(input_ids=torch.tensor([text])).logits for text in TEXTS])
    expected = torch.nn.functional.cross_entropy(alone, torch.tensor(LABELS), reduction="sum")
    torch.testing.assert_close(sums[0], expected, rtol=1e-4, atol=1e-4)
    confusion = torch.zeros(3, 3)
    for label, predicted in zip(LABELS, alone.argmax(-1).tolist(), strict=True):
        confusion[label, predicted] += 1
    assert sums[1:].tolist() == confusion.flatten().tolist()


def test_accuracy_and_macro_f1_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    true, predicted = [0, 0, 1, 1, 1, 2, 2, 0], [0, 1, 1, 1, 0, 2, 1, 0]
    matrix = torch.tensor(confusion_matrix(true, predicted), dtype=torch.float64)
    found = label_metrics(torch.cat([torch.zeros(1), matrix.flatten()]), len(true))
    assert found["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))


def test_the_same_seed_gives_the_same_head_over_the_same_body():
    first, second = classifier("qwen3"), classifier("qwen3")
    assert torch.equal(first.score.weight, second.score.weight)
    assert float(first.score.weight.detach().abs().sum()) > 0
    assert first.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_an_encoder_decoder_is_refused():
    model = build_model(
        ModelParams(architecture="t5", layers=1, width=32, heads=2),
        **{"vocab_size": 16, "context": 12, "begin": 0, "end": 0, "padding": 1, "seed": 1},
    )
    with pytest.raises(ParameterError, match="take qwen3, llama, gpt2 or bloom"):
        as_classifier(model, ("a", "b"), seed=1)
