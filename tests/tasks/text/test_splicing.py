"""Replacements against slicing strings."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.buffers import texts_of
from tasks.text.splicing import Replacement, splice


@given(st.lists(st.text("ab中", max_size=8), min_size=1, max_size=4), st.data())
def test_texts_come_out_as_if_each_were_cut_and_joined(texts, data):
    column = pa.array(["before", *texts], pa.large_string()).slice(1)
    offsets = texts_of(column).offsets
    replacements, expected = [], []
    for index, text in enumerate(texts):
        raw = text.encode()
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        start, stop = len(text[:first].encode()), len(text[:last].encode())
        made = data.draw(st.sampled_from([b"", b"x", "很长的".encode()]))
        begin = int(offsets[index])
        replacements.append(Replacement(index, begin + start, begin + stop, made))
        expected.append((raw[:start] + made + raw[stop:]).decode())
    assert splice(texts_of(column), replacements).to_pylist() == expected


def test_nothing_to_replace_gives_the_same_texts():
    column = pa.array(["a", "", "中"], pa.large_string())
    assert splice(texts_of(column), []).to_pylist() == ["a", "", "中"]
