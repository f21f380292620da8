"""Greedy packing against blocks made by hand and a plain walk over the stream."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.shards.greedy import Greedy, cut_stream
from tasks.shards.packing import BlockFormat, Copies

BEGIN, PADDING = 0, 1


def greedy(stored, context, order=None):
    """The layout of stored documents."""
    stream, starts = stored
    return Greedy(
        stream,
        Copies(starts, None if order is None else np.array(order, np.uint32)),
        BlockFormat(context, BEGIN, PADDING),
    )


documents = st.lists(st.lists(st.integers(2, 99), max_size=40), min_size=1, max_size=12)

BY_HAND = [[11, 12, 13], [21], [31, 32, 33, 34]]


def test_the_stream_is_cut_into_blocks_that_share_one_token(store):
    layout = greedy(store(BY_HAND), 4)
    assert layout.num_blocks == 3
    assert layout.blocks(0, 3).tolist() == [[0, 11, 12, 13, 0], [0, 21, 0, 31, 32], [32, 33, 34, 0, 1]]
    assert layout.pieces(0, 3) is None
    figures = layout.figures
    assert (figures.num_copies, figures.num_cropped, figures.num_pieces, figures.num_padding) == (3, 1, 4, 1)


def test_an_order_of_its_own_may_repeat_and_leave_out_documents(store):
    layout = greedy(store(BY_HAND), 4, [1, 2, 1])
    assert layout.blocks(0, 3).tolist() == [[0, 21, 0, 31, 32], [32, 33, 34, 0, 21], [21, 0, 1, 1, 1]]
    pieces = layout.pieces(1, 3)
    assert pieces.block.tolist() == [0, 0, 1]
    assert pieces.document.tolist() == [2, 1, 1]
    assert pieces.at.tolist() == [0, 4, 0]
    assert pieces.start.tolist() == [1, 0, 0]
    assert pieces.length.tolist() == [3, 1, 1]


def test_no_documents_give_no_block(store):
    assert greedy(store([]), 4).num_blocks == 0


@given(documents, st.integers(1, 9), st.integers(1, 4))
def test_every_token_of_the_stream_but_the_first_is_a_target_exactly_once_in_order(store, docs, context, parts):
    layout = greedy(store(docs, parts), context)
    stream = [token for doc in docs for token in [BEGIN, *doc]]
    blocks = layout.blocks(0, layout.num_blocks)
    targets = blocks[:, 1:].reshape(-1).tolist()
    assert [token for token in targets if token != PADDING] == [*stream[1:], BEGIN]
    assert blocks[0, 0] == BEGIN
    assert (blocks[1:, 0] == blocks[:-1, -1]).all()
    assert targets.count(PADDING) == layout.figures.num_padding < context


@given(documents, st.integers(1, 9), st.integers(1, 4), st.data())
def test_an_order_gives_the_blocks_of_the_documents_so_arranged(store, docs, context, parts, data):
    order = data.draw(st.lists(st.integers(0, len(docs) - 1), min_size=1, max_size=20))
    layout = greedy(store(docs, parts), context, order)
    arranged = greedy(store([docs[row] for row in order]), context)
    assert layout.num_blocks == arranged.num_blocks
    assert layout.figures == arranged.figures
    first = data.draw(st.integers(0, layout.num_blocks - 1))
    last = data.draw(st.integers(first + 1, layout.num_blocks))
    blocks = layout.blocks(first, last)
    assert np.array_equal(blocks, arranged.blocks(first, last))
    pieces = layout.pieces(first, last)
    for block, document, at, start, length in zip(*vars(pieces).values(), strict=True):
        assert blocks[block, at : at + length].tolist() == docs[document][start : start + length]
    assert pieces.length.sum() == np.count_nonzero(blocks > PADDING)


@given(documents, st.integers(1, 9))
def test_the_offsets_say_where_every_token_lies(store, docs, context):
    layout = greedy(store(docs), context)
    starts = np.cumsum([0, *(len(doc) + 1 for doc in docs)])
    blocks = layout.blocks(0, layout.num_blocks)
    pieces = cut_stream(starts[:-1], np.diff(starts) - 1, context)
    found = [{} for _ in docs]
    for block, document, at, start, length in zip(*vars(pieces).values(), strict=True):
        found[document] |= dict(enumerate(blocks[block, at : at + length].tolist(), start))
    assert [list(tokens.values()) for tokens in found] == docs
