"""Histograms as text."""

from tasks.inspection.histograms import bars, occupied


def signs(counts: list[int]) -> str:
    edges = [float(edge) for edge in range(len(counts) + 1)]
    return "".join(bar.sign for bar in bars(counts, edges, 0.0, "at_least"))


def test_the_tallest_bin_is_full_and_an_empty_one_blank():
    assert signs([0, 100]) == " █"


def test_heights_go_with_the_root_and_even_one_document_shows():
    # sqrt(25/100) * 8 = 4; sqrt(1/100) * 8 = 0.8, rounded 1; sqrt(1/1000000) * 8 = 0.008, still 1
    assert signs([25, 1, 100]) == "▄▁█"
    assert signs([1, 1_000_000]) == "▁█"


def test_bins_beyond_the_threshold_are_rejected():
    least = bars([1, 1, 1], [0.0, 10.0, 20.0, 30.0], 10.0, "at_least")
    most = bars([1, 1, 1], [0.0, 10.0, 20.0, 30.0], 10.0, "at_most")
    assert [bar.is_rejected for bar in least] == [True, False, False]
    assert [bar.is_rejected for bar in most] == [False, True, True]


def test_empty_ends_are_not_shown():
    assert occupied([0, 0, 3, 0, 1, 0]) == slice(2, 5)
    assert occupied([0, 0]) == slice(0, 0)
