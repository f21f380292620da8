"""Encoded shards read as one array."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.shards.stream import TokenStream

PARTS = [[1, 2, 3], [], [4, 5], [6]]


def stored(folder, dtype):
    for number, part in enumerate(PARTS):
        np.array(part, dtype).tofile(folder / f"{number}.tokens")
    return TokenStream([folder / f"{number}.tokens" for number in range(len(PARTS))], np.dtype(dtype))


@given(st.integers(0, 6), st.integers(0, 6), st.sampled_from([np.uint16, np.uint32]))
def test_a_range_is_read_over_the_ends_of_its_parts(tmp_path_factory, start, size, dtype):
    stop = min(start + size, 6)
    stream = stored(tmp_path_factory.mktemp("parts"), dtype)
    assert len(stream) == 6
    tokens = np.zeros(stop - start, dtype)
    stream.read(start, tokens)
    assert tokens.tolist() == [1, 2, 3, 4, 5, 6][start:stop]


def test_runs_are_gathered_from_any_part_in_any_order(tmp_path):
    for dtype in (np.uint16, np.uint32):
        into = np.full(7, 9, dtype)
        runs = np.array([[5, 0, 1], [0, 1, 2], [3, 5, 2], [6, 3, 0]])
        stored(tmp_path, dtype).gather(*runs.T, into)
        assert into.tolist() == [6, 1, 2, 9, 9, 4, 5]
