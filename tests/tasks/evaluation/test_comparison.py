"""The paired bootstrap against the normal approximation of a paired test."""

import math

import numpy as np
import pytest

from tasks.evaluation.comparison import Costs, bits_per_byte, compare, is_enough
from tasks.evaluation.figures import Bootstrap
from tasks.evaluation.losses import DocumentLosses

BOOTSTRAP = Bootstrap(4000, 0.95, 1)
SIZES = np.full(400, 100)


def losses(nats):
    ids = [str(index) for index in range(len(nats))]
    return DocumentLosses(ids, ids, ids, np.asarray(nats, float), SIZES[: len(nats)], SIZES[: len(nats)])


def test_the_lower_end_of_the_gain_is_that_of_a_paired_z_interval():
    random = np.random.default_rng(0)
    hard = random.normal(150, 60, 400)  # how hard a document is makes most of the variance, and cancels out
    new, champion = losses(hard), losses(hard + random.normal(1.0, 4.0, 400))
    found = compare(bits_per_byte(new), bits_per_byte(champion), BOOTSTRAP, asked=0.0)
    per_document = (champion.nats - new.nats) / 100 / math.log(2)
    expected = per_document.mean() - 1.645 * per_document.std() / math.sqrt(400)
    assert found.gain == pytest.approx(per_document.mean(), abs=1e-6)
    assert found.low == pytest.approx(expected, abs=5e-4)
    assert is_enough(found, "better", 0.0)


def test_two_equal_models_are_no_worse_and_no_better_than_each_other():
    same = losses(np.linspace(1, 50, 50))
    found = compare(bits_per_byte(same), bits_per_byte(same), BOOTSTRAP, asked=0.0)
    assert (found.gain, found.low, found.probability) == (0.0, 0.0, 0.0)
    assert not is_enough(found, "better", 0.0)
    assert is_enough(found, "no_worse", 0.0)


def test_documents_are_paired_by_id_in_whatever_order():
    mine = losses([10.0, 20.0, 30.0])
    theirs = DocumentLosses(["2", "0", "1"], mine.sources, mine.languages, mine.nats[[2, 0, 1]], SIZES[:3], SIZES[:3])
    assert compare(bits_per_byte(mine), bits_per_byte(theirs), BOOTSTRAP, asked=0.0).low == 0.0


def test_the_accuracy_of_two_classifiers_is_compared_pair_by_pair():
    ids, ones = [str(n) for n in range(400)], np.ones(400)
    mine, theirs = np.zeros(400), np.zeros(400)
    mine[:20], theirs[:40] = 1, 1  # both miss 20 rows, and the champion 20 more
    found = compare(Costs(ids, mine, ones), Costs(ids, theirs, ones), BOOTSTRAP, asked=0.0)
    assert (found.gain, found.new, found.champion) == (0.05, 0.05, 0.1)
    half = 1.645 * math.sqrt(0.05 * 0.95 / 400)  # the gain is the share of rows that the champion alone misses
    assert found.low == pytest.approx(0.05 - half, abs=5e-3)
