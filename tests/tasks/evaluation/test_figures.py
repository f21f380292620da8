import pytest

from tasks.evaluation.figures import Bootstrap, share_interval

BOOTSTRAP = Bootstrap(samples=10, confidence=0.9, seed=1)


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (950, 1000)])
def test_the_interval_of_a_share_is_scipys_of_wilson(hits, count):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(hits, count).proportion_ci(BOOTSTRAP.confidence, method="wilson")
    assert share_interval(hits, count, BOOTSTRAP) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_all_of_a_few_is_not_certain():
    # By hand: z = 1.6448536 at 90 %, one end of the interval is z^2 / (n + z^2) = 2.705543 / 6.705543.
    assert share_interval(0, 4, BOOTSTRAP) == (0.0, pytest.approx(0.403479, abs=1e-6))
    assert share_interval(4, 4, BOOTSTRAP) == (pytest.approx(0.596521, abs=1e-6), 1.0)
