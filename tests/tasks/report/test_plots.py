"""What is drawn of a curve."""

import pytest

from tasks.report.plots import frame_of, thinned
from tasks.report.training_charts import smoothed


def test_a_long_curve_is_thinned_without_losing_a_spike():
    points = [(float(at), 1.0) for at in range(10_000)]
    points[7_777] = (7_777.0, 99.0)
    kept = thinned(points)
    assert len(kept) <= 402
    assert (7_777.0, 99.0) in kept
    assert kept == sorted(kept)


def test_a_short_curve_is_drawn_as_it_is():
    points = [(1.0, 2.0), (2.0, 1.0)]
    assert thinned(points) == points


def test_smoothing_leaves_a_constant_alone_from_its_first_point():
    assert [y for _, y in smoothed([(float(at), 3.0) for at in range(100)])] == pytest.approx([3.0] * 100)


def test_points_lie_within_the_frame_also_when_there_is_but_one():
    for points in ([(5.0, 2.0)], [(0.0, 1.0), (10.0, 3.0)]):
        frame = frame_of(points)
        assert all(0 <= frame.x(x) <= 1 and 0 < frame.y(y) < 1 for x, y in points)
