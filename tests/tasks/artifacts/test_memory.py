"""Peak memory, and giving memory back."""

import sys

import numpy as np
import pytest

from tasks.artifacts.memory import PeakMemory, limit_arenas, release_memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the mark of the whole process is given")
def test_the_peak_is_that_of_the_stretch_and_not_of_what_came_before():
    np.ones(40_000_000).sum()
    before = PeakMemory().read_mb()
    peak = PeakMemory()
    np.ones(10_000_000).sum()
    assert 60 < peak.read_mb() - before < 200


def test_memory_can_be_given_back_at_any_time():
    limit_arenas()
    release_memory()
    assert np.ones(1000).sum() == 1000
