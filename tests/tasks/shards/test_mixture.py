"""Copies of documents by hand-made arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.errors import ParameterError
from tasks.shards.documents import Index
from tasks.shards.mixture import mix
from tasks.shards.ordering import spread


def index_of(sources, lengths, hashes=None):
    """An index of documents with these sources and tokens."""
    names = tuple(sorted(set(sources)))
    starts = np.concatenate([[0], np.cumsum(np.array(lengths) + 1)])
    numbers = np.array([names.index(source) for source in sources], np.uint16)
    default = np.random.default_rng(5).integers(1 << 64, size=len(sources), dtype=np.uint64)
    return Index(starts, default if hashes is None else np.array(hashes, np.uint64), numbers, names)


BOOKS_AND_WEB = index_of(["books"] * 2 + ["web"] * 4, [50, 50, 100, 100, 100, 100], [9, 3, 7, 1, 8, 2])


def uses(mixture):
    return {use.source: (use.available_tokens, use.used_tokens, use.repeats) for use in mixture.uses}


def test_the_total_is_what_the_scarcest_source_allows():
    mixture = mix(BOOKS_AND_WEB, {"books": 3, "web": 1}, max_repeats=4, max_tokens=None)
    assert mixture.copies.tolist() == [4, 4, 0, 1, 0, 0]  # 400 tokens of books want 133 of web: one document
    assert uses(mixture) == {"books": (100, 400, 4.0), "web": (400, 100, 0.25)}
    assert [use.weight for use in mixture.uses] == [0.75, 0.25]


def test_a_part_of_a_source_is_chosen_by_hash():
    mixture = mix(BOOKS_AND_WEB, {"books": 1, "web": 2}, max_repeats=4, max_tokens=450)
    assert mixture.copies.tolist() == [1, 2, 1, 1, 0, 1]  # 150 of books, 300 of web: hashes 3; 1, 2 and 7
    assert uses(mixture)["books"] == (100, 150, 1.5)


def test_a_source_of_weight_0_is_left_out():
    mixture = mix(BOOKS_AND_WEB, {"books": 0, "web": 1}, max_repeats=2, max_tokens=None)
    assert mixture.copies.tolist() == [0, 0, 2, 2, 2, 2]


def test_without_weights_every_source_gives_the_same_part_and_nothing_is_repeated():
    assert mix(BOOKS_AND_WEB, None, max_repeats=4, max_tokens=10**9).copies.tolist() == [1] * 6
    assert mix(BOOKS_AND_WEB, None, max_repeats=4, max_tokens=250).copies.tolist() == [0, 1, 0, 1, 0, 1]


def test_more_tokens_than_the_caps_allow_are_said_not_to_be_there(caplog):
    mixture = mix(BOOKS_AND_WEB, {"books": 1, "web": 1}, max_repeats=2, max_tokens=1000)
    assert uses(mixture)["books"] == (100, 200, 2.0)
    assert "max_tokens is 1,000, but there are only 400" in caplog.text


def test_documents_without_tokens_give_no_tokens():
    assert mix(index_of(["a", "b"], [0, 0]), None, max_repeats=4, max_tokens=None).uses[0].used_tokens == 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"book": 1, "web": 1}, r"no weight to source books \(did you mean it by book\?\).*books, web"),
        ({"web": 1}, r"no weight to source books; .*0 to leave it out"),
        ({"books": 1, "web": 1, "mails": 1}, r"a weight to mails, of which the training split holds no document"),
    ],
)
def test_weights_that_do_not_match_the_sources_are_an_error(weights, message):
    with pytest.raises(ParameterError, match=message):
        mix(BOOKS_AND_WEB, weights, max_repeats=4, max_tokens=None)


def test_a_weight_for_nothing_but_empty_documents_is_an_error():
    with pytest.raises(ParameterError, match=r"a weight to web, whose documents are all empty"):
        mix(index_of(["books", "web"], [10, 0]), {"books": 1, "web": 1}, max_repeats=4, max_tokens=None)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), min_size=1, max_size=60),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.sampled_from([0.5, 1, 2.5, 4]),
    st.none() | st.integers(1, 500),
)
def test_no_source_exceeds_its_share_or_the_cap(docs, weights, max_repeats, max_tokens):
    index = index_of(*zip(*docs, strict=True))
    given_weights = dict(zip("abc", weights, strict=True))
    mixture = mix(
        index, {name: given_weights[name] for name in index.names}, max_repeats=max_repeats, max_tokens=max_tokens
    )
    longest = int(index.lengths.max())
    available = {use.source: use.available_tokens for use in mixture.uses}
    total = min(max_repeats * available[use.source] / use.weight for use in mixture.uses)
    total = min(total, max_tokens or total)
    for use in mixture.uses:
        assert use.used_tokens <= max_repeats * use.available_tokens + 0.5
        assert use.weight * total - longest - 1 <= use.used_tokens <= use.weight * total + 0.5
    assert mixture.copies.max() <= np.ceil(max_repeats)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.booleans())
def test_every_copy_has_a_place_and_none_comes_twice_between_two_breaks(copies, shuffled):
    index = index_of(["a", "b"] * len(copies), [3] * (2 * len(copies)))
    copies = np.array(copies + copies, np.uint16)
    order = spread(index, copies, shuffled=shuffled)
    assert np.array_equal(np.bincount(order.documents, minlength=len(copies)), copies)
    for part in np.split(order.documents, order.breaks):
        assert len(set(part.tolist())) == len(part)


def test_copies_of_a_document_are_spread_among_the_others():
    index = index_of(["a"] * 100 + ["b"] * 400, [5] * 500)
    copies = np.array([4] * 100 + [1] * 400, np.uint16)
    for shuffled in (True, False):
        documents = spread(index, copies, shuffled=shuffled).documents
        assert (documents[1:] != documents[:-1]).all()
        places = np.flatnonzero(documents == 17)
        assert (np.abs(np.diff(places) - 200) < 40).all()


def test_sources_run_side_by_side_in_the_ratio_of_the_mixture():
    index = index_of(["a"] * 100 + ["b"] * 300, [5] * 400)
    documents = spread(index, np.ones(400, np.uint16), shuffled=False).documents
    assert [np.count_nonzero(part < 100) for part in np.split(documents, 10)] == [10] * 10
    assert (np.diff(documents[documents < 100].astype(int)) == 1).all()  # each source in its own order


def test_shuffling_keeps_documents_of_the_same_text_apart():
    index = index_of(["a"] * 300, [5] * 300, hashes=[77] * 3 + list(range(1 << 55, 1 << 55 | 297)))
    documents = spread(index, np.ones(300, np.uint16), shuffled=True).documents
    places = np.flatnonzero(documents < 3)
    assert np.diff(places).min() > 50
