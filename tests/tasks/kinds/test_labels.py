"""Figures of a classifier against scikit-learn, and against arithmetic by hand."""

import math

import numpy as np
import pytest

from tasks.evaluation.figures import Bootstrap
from tasks.kinds.labels import calibration_error, label_figures
from tasks.kinds.rows import RowScores

BOOTSTRAP = Bootstrap(2000, 0.95, 1)
NAMES = np.array(["angry", "calm", "正面"])


def scores(wanted, said, confidence=None, nats=None):
    ones = np.ones(len(wanted))
    ids = [str(number) for number in range(len(wanted))]
    return RowScores(
        ids=ids,
        wanted=list(wanted),
        said=list(said),
        confidence=ones if confidence is None else np.array(confidence),
        nats=ones if nats is None else np.array(nats),
        num_targets=ones.astype(int),
        num_bytes=ones.astype(int),
    )


@pytest.fixture(scope="module")
def some():
    random = np.random.default_rng(0)
    wanted = NAMES[random.choice(3, 600, p=[0.6, 0.3, 0.1])]
    said = np.where(random.random(600) < 0.8, wanted, NAMES[random.choice(3, 600)])
    return wanted, said, label_figures(scores(wanted, said), BOOTSTRAP)


def test_accuracy_f1_and_each_label_are_those_of_scikit_learn(some):
    metrics = pytest.importorskip("sklearn.metrics")
    wanted, said, found = some
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(wanted, said), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(wanted, said, average="macro"), abs=1e-6)
    precision, recall, f1, docs = metrics.precision_recall_fscore_support(wanted, said, labels=NAMES)
    for place, name in enumerate(NAMES):
        mine = found["by_label"][name]
        assert (mine["precision"], mine["recall"], mine["f1"]) == pytest.approx(
            (precision[place], recall[place], f1[place]), abs=1e-6
        )
        assert mine["docs"] == docs[place]
    table = [[row[name] for name in NAMES] for row in found["confusion"]]
    assert table == metrics.confusion_matrix(wanted, said, labels=NAMES).tolist()


def test_intervals_are_those_of_shares(some):
    wanted, _, found = some
    for name, value, rows in (
        ("accuracy", found["accuracy"], 600),
        ("recall", found["by_label"]["calm"]["recall"], int((wanted == "calm").sum())),
    ):
        section = found if name == "accuracy" else found["by_label"]["calm"]
        half = 1.96 * math.sqrt(value * (1 - value) / rows)  # the normal interval of a share
        assert (section[f"{name}_low"], section[f"{name}_high"]) == pytest.approx(
            (value - half, value + half), abs=0.015
        )


def test_always_saying_the_commonest_label_gains_nothing():
    found = label_figures(scores(["a"] * 7 + ["b"] * 3, ["a"] * 10), BOOTSTRAP)
    assert (found["accuracy"], found["majority_accuracy"], found["over_majority"]) == (0.7, 0.7, 0.0)
    assert found["over_majority_high"] == 0.0
    assert found["by_label"]["b"] == {"docs": 3, "recall": 0.0, "recall_low": 0.0, "recall_high": 0.561497, "f1": 0.0,
                                      "f1_low": 0.0, "f1_high": 0.0}  # fmt: skip
    assert found["macro_f1"] == pytest.approx((2 * 7 / 17 + 0) / 2, abs=1e-6)


def test_calibration_is_how_far_confidence_is_from_accuracy_bin_by_bin():
    confidence, is_right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    assert calibration_error(confidence, is_right) == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0.0
