"""Tallies add up, and come back from the disk as they were."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.text.tally import SourceTally, Tally

NUMBERS = st.integers(0, 9)
COUNTERS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
SOURCES = st.builds(SourceTally, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, COUNTERS)
HISTOGRAMS = st.dictionaries(st.sampled_from("xy"), st.lists(NUMBERS, min_size=2, max_size=2))
TALLIES = st.builds(Tally, st.dictionaries(st.sampled_from("st"), SOURCES), HISTOGRAMS, COUNTERS, COUNTERS)


@given(TALLIES, TALLIES, TALLIES)
def test_adding_is_associative_and_nothing_adds_nothing(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert Tally() + one == one == one + Tally()


def test_a_saved_tally_is_read_back_the_same(tmp_path):
    tally = Tally({"web": SourceTally(3, 1, 9, 4, 5, Counter(empty=2))}, {"empty": [2, 1]}, Counter(), Counter(a=-1))
    tally.save(tmp_path / "tally.json")
    assert Tally.load(tmp_path / "tally.json") == tally


def test_what_grows_is_kept_in_the_sum():
    grown = Tally(removed_bytes=Counter(normalization=-2))
    assert (grown + grown).removed_bytes == {"normalization": -4}
