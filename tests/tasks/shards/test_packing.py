"""Packing against a plain walk over the stream."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.shards.packing import pack_blocks, token_dtype

BEGIN, PADDING = 0, 1
documents = st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=40), min_size=1, max_size=12)


@given(documents, st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
def test_every_token_of_the_stream_but_the_first_is_a_target_exactly_once_in_order(docs, context, rows, pieces):
    stream = [token for doc in docs for token in [BEGIN, *doc]]
    parts = np.array_split(np.array(stream, dtype=np.uint16), pieces)
    packed = pack_blocks((p for p in parts if len(p)), context=context, rows=rows, begin=BEGIN, padding=PADDING)
    blocks = np.concatenate(list(packed))
    targets = blocks[:, 1:].reshape(-1).tolist()
    assert [token for token in targets if token != PADDING] == [*stream[1:], BEGIN]
    assert blocks[0, 0] == BEGIN
    assert (blocks[1:, 0] == blocks[:-1, -1]).all()
    assert len(targets) - len(stream) < context


@given(documents, st.integers(1, 9), st.integers(1, 4))
def test_how_the_stream_is_cut_into_pieces_changes_nothing(docs, context, rows):
    stream = np.array([token for doc in docs for token in [BEGIN, *doc]], dtype=np.uint16)

    def packed(pieces):
        parts = (p for p in np.array_split(stream, pieces) if len(p))
        return np.concatenate(list(pack_blocks(parts, context=context, rows=rows, begin=BEGIN, padding=PADDING)))

    assert np.array_equal(packed(1), packed(7))


def test_ids_take_two_bytes_up_to_65536_entries():
    assert token_dtype(65_536) == np.uint16
    assert token_dtype(65_537) == np.uint32
