"""The new model against the champion: sums by hand."""

import math

import numpy as np
import pytest

from tasks.evaluation.losses import DocumentLosses
from tasks.retraining.comparison import compare


def losses(*bits_per_byte: float, sources: tuple[str, ...] = ("web", "web", "web:new")) -> DocumentLosses:
    """Losses of documents of 100 bytes each."""
    nats = np.array(bits_per_byte) * 100 * math.log(2)
    count = len(bits_per_byte)
    names = [str(number) for number in range(count)]
    sizes = np.full(count, 100)
    return DocumentLosses(names, list(sources), ["en"] * count, nats, sizes, sizes)


def test_old_and_new_text_are_told_apart_and_weighed_together():
    found = compare(losses(2.0, 2.2, 2.0), losses(2.0, 2.0, 3.0), max_forgetting=0.2)
    assert found.figures["old.loss"] == pytest.approx(0.1)
    assert found.figures["new.loss"] == pytest.approx(-1.0)
    assert found.figures["whole.loss"] == pytest.approx((0.2 - 1.0) / 3)
    assert found.holds == ()
    assert str(found).endswith("old text 2.1000 against 2.0000, new text 2.0000 against 3.0000")


def test_a_model_that_has_forgotten_is_held_back_however_good_it_is_on_new_text():
    found = compare(losses(2.5, 2.5, 0.1), losses(2.0, 2.0, 3.0), max_forgetting=0.2)
    assert found.holds == ("it forgets 0.5000 bits per byte of old text, limit 0.2",)


def test_a_part_without_text_has_no_figures():
    sources = ("web:new", "web:new")
    found = compare(losses(1.0, 1.0, sources=sources), losses(2.0, 2.0, sources=sources), max_forgetting=0.2)
    assert set(found.figures) == {
        f"{part}.{name}" for part in ("new", "whole") for name in ("candidate", "champion", "loss")
    }
    assert found.holds == ()


def test_losses_on_other_documents_are_no_comparison():
    with pytest.raises(AssertionError, match="same documents"):
        compare(losses(1.0, sources=("web",)), losses(1.0, sources=("books",)), max_forgetting=0.2)
