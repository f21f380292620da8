"""Clusters from verified pairs: properties against plain Python on small cases."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates.clusters import MAX_REPRESENTATIVES, Forest, first_equal, sharing

SIGNATURES = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), max_size=20)


def linked(minima: list[list[int]], keys: list[int], min_similarity: float) -> Forest:
    forest = Forest(len(minima))
    array = np.array(minima, np.uint32).reshape(len(minima), 4)
    forest.link_band(np.array(keys, np.uint64), array, min_similarity)
    return forest


def similarity(one: list[int], other: list[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / 4


def components(minima: list[list[int]], min_similarity: float) -> list[int]:
    """The first member of each one's component in the graph of all similar pairs."""
    roots = list(range(len(minima)))
    for one in range(len(minima)):
        for other in range(one):
            if similarity(minima[one], minima[other]) >= min_similarity:
                low, high = sorted((roots[one], roots[other]))
                roots = [low if root == high else root for root in roots]
    return roots


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
@given(SIGNATURES)
def test_equal_signatures_in_one_bucket_form_exactly_the_classes_of_equality(minima):
    assert linked(minima, [7] * len(minima), 1.0).roots().tolist() == components(minima, 1.0)


@settings(deadline=None)
@given(SIGNATURES, st.sampled_from([0.25, 0.5, 0.75]))
def test_clusters_hold_together_by_verified_pairs_and_begin_with_their_root(minima, min_similarity):
    forest = linked(minima, [7] * len(minima), min_similarity)
    roots, widest = forest.roots().tolist(), components(minima, min_similarity)
    for member, root in enumerate(roots):
        assert root <= member
        assert roots[root] == root
        assert widest[root] == widest[member]
        partners = [n for n in range(len(minima)) if n != member and roots[n] == root]
        best = max((similarity(minima[member], minima[partner]) for partner in partners), default=0)
        assert bool(partners) == (forest.similarity[member] >= min_similarity)
        assert forest.similarity[member] <= best


@settings(deadline=None)
@given(SIGNATURES)
def test_documents_of_different_buckets_are_not_compared(minima):
    assert linked(minima, list(range(len(minima))), 0.25).roots().tolist() == list(range(len(minima)))


def test_a_chain_of_similar_documents_is_one_cluster():
    chain = [[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 2], [9, 9, 9, 9]]
    assert linked(chain, [7] * 4, 0.75).roots().tolist() == [0, 0, 0, 3]


def test_clusters_found_apart_join_when_a_later_band_links_them():
    minima = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [2, 2, 2, 1], [2, 1, 1, 1]], np.uint32)
    forest = Forest(4)
    forest.link_band(np.array([1, 2, 2, 1], np.uint64), minima, 0.5)
    assert forest.roots().tolist() == [0, 1, 1, 0]
    forest.link_band(np.array([1, 2, 3, 3], np.uint64), minima, 0.5)
    assert forest.roots().tolist() == [0, 0, 0, 0]


def test_a_huge_bucket_of_unlike_documents_stays_apart():
    minima = [[number, number, number, number] for number in range(50_000)]
    assert len(set(linked(minima, [7] * len(minima), 0.5).roots().tolist())) == len(minima)


def test_beyond_the_representatives_a_document_still_meets_the_one_before_it():
    unlike = [[number] * 4 for number in range(MAX_REPRESENTATIVES)]
    pair = [[1000] * 4, [1000] * 4]
    roots = linked([*unlike, *pair], [7] * (len(unlike) + 2), 0.5).roots().tolist()
    assert roots[-2:] == [MAX_REPRESENTATIVES] * 2
