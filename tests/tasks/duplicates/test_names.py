"""Tables of names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.duplicates.names import Names, write_names


@given(st.dictionaries(st.integers(0, 2**40), st.text(st.characters(exclude_categories=["Cs"]))))
def test_names_come_back_by_number_and_in_the_order_of_numbers(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    write_names(folder, names.items())
    table = Names(folder)
    numbers = np.array([*names], np.int64)
    assert table.of(numbers) == list(names.values())
    assert list(table) == sorted(names.items())
