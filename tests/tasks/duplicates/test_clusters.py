"""Who duplicates whom, against plain Python on small cases."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates.clusters import MAX_COMPARED, Pairs, first_equal, roots, sharing

SIGNATURES = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), max_size=20)


def found(minima: list[list[int]], *bands: list[int], min_similarity: float | None, num_known: int = 0) -> Pairs:
    pairs = Pairs(np.array(minima, np.uint32).reshape(len(minima), 4), num_known, min_similarity)
    for keys in bands:
        pairs.find_in(np.array(keys, np.uint64))
    return pairs


def similarity(one: list[int], other: list[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / 4


def first_partner(number: int, minima: list[list[int]], bands: list[list[int]], min_similarity: float) -> int:
    """The first document before this one that shares a bucket with it and resembles it; itself if there is none."""
    for other in range(number):
        shares = any(keys[other] == keys[number] for keys in bands)
        if shares and similarity(minima[other], minima[number]) >= min_similarity:
            return other
    return number


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_equal_digests_point_to_the_first_of_them(digests):
    array = np.array(digests, np.uint64).reshape(-1, 2)
    assert first_equal(array).tolist() == [digests.index(digest) for digest in digests]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9)))
def test_keys_that_occur_more_than_once_are_found(keys):
    counts = Counter(keys)
    assert sharing(np.array(keys, np.uint64)).tolist() == [counts[key] > 1 for key in keys]


@settings(deadline=None)
@given(SIGNATURES, st.data(), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_each_document_points_to_the_first_it_resembles_whatever_the_order_of_the_bands(minima, data, min_similarity):
    keys = st.lists(st.integers(0, 2), min_size=len(minima), max_size=len(minima))
    bands = data.draw(st.lists(keys, min_size=1, max_size=3))
    expected = [first_partner(number, minima, bands, min_similarity) for number in range(len(minima))]
    for order in (bands, bands[::-1]):
        pairs = found(minima, *order, min_similarity=min_similarity)
        assert pairs.parents.tolist() == expected
        assert pairs.similarity.tolist() == [
            similarity(minima[number], minima[parent]) if parent != number else 0
            for number, parent in enumerate(expected)
        ]


def test_without_verification_every_pair_of_a_bucket_counts():
    assert found([[1] * 4, [2] * 4, [3] * 4], [7, 8, 7], min_similarity=None).parents.tolist() == [0, 1, 0]


def test_known_documents_look_for_no_partner_and_are_found():
    minima = [[1] * 4, [1, 1, 1, 2], [1, 1, 2, 2]]
    assert found(minima, [7, 7, 7], min_similarity=0.75, num_known=2).parents.tolist() == [0, 1, 1]


def test_a_chain_of_similar_documents_is_one_cluster():
    chain = [[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 2], [9, 9, 9, 9]]
    assert roots(found(chain, [7] * 4, min_similarity=0.75).parents).tolist() == [0, 0, 0, 3]


def test_a_late_document_does_not_make_early_survivors_duplicates_after_the_fact():
    """The third resembles both: two clusters, of the first two documents one each."""
    minima = [[1, 1, 2, 2], [1, 1, 3, 3], [1, 1, 2, 3]]
    assert roots(found(minima, [7] * 3, min_similarity=0.75).parents).tolist() == [0, 1, 0]


@settings(deadline=None)
@given(SIGNATURES, st.sampled_from([0.25, 0.5, 0.75]))
def test_a_cluster_has_one_survivor_and_no_two_survivors_resemble_each_other(minima, min_similarity):
    survivors = roots(found(minima, [7] * len(minima), min_similarity=min_similarity).parents).tolist()
    assert all(survivors[survivor] == survivor <= number for number, survivor in enumerate(survivors))
    kept = sorted(set(survivors))
    assert all(similarity(minima[a], minima[b]) < min_similarity for a in kept for b in kept if a < b)


@pytest.mark.parametrize("number", [100_000])
def test_a_huge_bucket_costs_a_bounded_number_of_comparisons_for_each_document(number):
    """A hundred thousand unlike ones, and as many that resemble the first: n * n / 2 comparisons would take minutes."""
    unlike = np.repeat(np.arange(number, dtype=np.uint32), 4).reshape(number, 4)
    alike = np.ones((number, 4), np.uint32)
    alike[:, 3] = np.arange(number)
    keys = np.full(number, 7, np.uint64)
    for minima, expected in ((unlike, np.arange(number)), (alike, np.zeros(number))):
        pairs = Pairs(minima, 0, 0.75)
        pairs.find_in(keys)
        assert (pairs.parents == expected).all()


def test_beyond_the_limit_of_a_bucket_another_band_finds_a_pair():
    minima = [*([number] * 4 for number in range(MAX_COMPARED)), [1000] * 4, [1000] * 4]
    full, other = [7] * len(minima), [*range(MAX_COMPARED), 1000, 1000]
    assert found(minima, full, min_similarity=0.5).parents.tolist()[-1] == MAX_COMPARED + 1
    assert found(minima, full, other, min_similarity=0.5).parents.tolist()[-1] == MAX_COMPARED
