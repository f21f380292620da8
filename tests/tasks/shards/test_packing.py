"""What packings share."""

import numpy as np

from tasks.shards.packing import numbered, token_dtype


def test_ids_take_two_bytes_up_to_65536_entries():
    assert token_dtype(65_536) == np.uint16
    assert token_dtype(65_537) == np.uint32


def test_members_are_numbered_within_their_groups():
    groups, numbers = numbered(np.array([2, 0, 3]))
    assert groups.tolist() == [0, 0, 2, 2, 2]
    assert numbers.tolist() == [0, 1, 0, 1, 2]
