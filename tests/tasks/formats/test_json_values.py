"""JSON files: arrays, objects, JSON lines in disguise, and what a fault costs."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.json_values import read_json
from tasks.formats.records import Document, Documents, Malformed, ReadOptions, Record


class Dribble(io.BytesIO):
    """A stream that gives at most `most` bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def read(data: bytes | str, **options: object) -> list[Record]:
    data = data.encode() if isinstance(data, str) else data
    found = read_json(io.BytesIO(data), ReadOptions(**options))  # type: ignore[arg-type]
    return [record for each in found for record in (each.each() if isinstance(each, Documents) else (each,))]


def outcome(data: bytes | str, **options: object) -> list[tuple[int, str]]:
    """Position with the text of a document or the rule of what is none."""
    records = read(data, **options)
    return [(record.position, record.text if isinstance(record, Document) else record.rule) for record in records]


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_an_array_gives_a_document_per_element_however_it_is_laid_out(indent: int | None):
    rows = [{"id": 1, "text": 'a "b", [c] {'}, {"id": 2, "text": "静夜思\n\\"}, {"text": "}]", "x": {"y": [1, {}]}}]
    expected = [(n, row["text"]) for n, row in enumerate(rows, start=1)]
    assert outcome(json.dumps(rows, indent=indent)) == expected
    assert outcome(json.dumps(rows, indent=indent, ensure_ascii=False)) == expected


def test_an_object_is_one_document():
    assert outcome('{"text": "a",\n "n": [1, 2]}\n') == [(1, "a")]


def test_objects_one_after_the_other_are_read():
    assert outcome('{"text": "a"}{"text": "b"}\n\n{\n  "text": "c"\n},\n{"text": "d"}') == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (4, "d"),
    ]


def test_json_lines_are_recognized_and_count_by_line():
    assert outcome('{"text": "a"}\n\n{"text": "b\n{"text": "c"}\n') == [(1, "a"), (3, "malformed_json"), (4, "c")]
    assert outcome('{"text": \n{"text": "b"}\n') == [(1, "malformed_json"), (2, "b")]


def test_elements_on_lines_of_their_own_are_still_an_array():
    assert outcome('[\n{"text": "a"},\n{"text": "b"}\n]\n') == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    "bad",
    ['{"text": tru}', '{"text": "a" "b"}', '{"text": ["a"}', '{"text": [1}}', '{"text": "\\x"}', "nul", '{"a": 1]}'],
)
def test_a_bad_element_costs_only_itself(bad: str):
    rules = outcome(f'[{{"text": "a"}}, {bad}, {{"text": "c"}}]')
    assert rules[0] == (1, "a")
    assert rules[-1] == (len(rules), "c")
    assert {rule for _, rule in rules[1:-1]} == {"malformed_json"}


def test_a_missing_quote_costs_one_element_where_elements_have_their_own_lines():
    assert outcome('[{"text": "a"},\n{"text": "b},\n{"text": "c"}]') == [(1, "a"), (2, "malformed_json"), (3, "c")]
    pretty = json.dumps([{"text": "a", "n": 1}, {"text": "b", "n": 2}, {"text": "c", "n": 3}], indent=1)
    assert outcome(pretty.replace('"b",', '"b,')) == [(1, "a"), (2, "malformed_json"), (3, "c")]


def test_a_missing_bracket_costs_the_rest_of_the_file():
    data = '[{"text": "a"}, {"text": "b", {"text": "c"}]'
    assert outcome(data) == [(1, "a"), (2, "malformed_json")]


def test_a_cut_array_gives_the_elements_before_the_cut():
    assert outcome('[{"text": "a"}, {"text": "b') == [(1, "a"), (2, "malformed_json")]
    assert outcome('[{"text": "a"}, {"text": "b"},') == [(1, "a"), (2, "b"), (3, "malformed_json")]
    assert outcome('[{"text": "a"}') == [(1, "a"), (2, "malformed_json")]


def test_elements_that_are_no_objects_say_what_they_are():
    records = read('[1, "a, b", null, [[{"text": "x"}]], {"text": "z"}]')
    assert [record.rule for record in records if isinstance(record, Malformed)] == ["missing_text"] * 4
    assert records[-1] == Document(5, "z")
    assert isinstance(records[3], Malformed)
    assert records[3].detail == "a JSON list, not an object with the key 'text'"


def test_empty_files_and_arrays_have_no_records():
    assert read("") == read(" \n") == read("[]") == read("[ \n ]\n") == []


def test_an_element_over_the_limit_costs_only_itself_and_its_size_is_known():
    big = json.dumps({"text": "x" * 3_000_000})
    first, large, last = read(f'[{{"text": "a"}}, {big}, {{"text": "b"}}]', max_bytes=1_000_000)
    assert (first, last) == (Document(1, "a"), Document(3, "b"))
    assert isinstance(large, Malformed)
    assert (large.position, large.rule, large.value) == (2, "too_large", len(big) / 1e6)


def test_metadata_is_taken_from_each_element():
    data = '[{"text": "a", "meta": null, "id": 7}, {"id": "x", "meta": {"k": [1]}, "text": "b"}, {"text": "c"}]'
    assert read(data, metadata_fields=("id", "meta")) == [
        Document(1, "a", '{"id":7,"meta":null}'),
        Document(2, "b", '{"id":"x","meta":{"k":[1]}}'),
        Document(3, "c"),
    ]


def test_a_byte_order_mark_is_removed():
    assert outcome('[{"text": "静夜思"}]'.encode("utf-8-sig")) == [(1, "静夜思")]


@pytest.mark.parametrize("data", [b"%PDF-1.7" + bytes(100), bytes(range(1, 32)) * 9])
def test_a_binary_file_is_not_what_its_name_says(data: bytes):
    assert outcome(data) == [(1, "not_what_its_name_says")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(), json_values, max_size=3), min_size=1, max_size=5),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
    st.integers(1, 9),
)
def test_any_array_in_any_chunks_gives_its_elements(
    rows: list[dict[str, Any]], indent: int | None, escaped: bool, most: int
):
    rows = [{**row, "text": f"t{n}"} for n, row in enumerate(rows)]
    data = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode()
    records = list(read_json(Dribble(data, most), ReadOptions(metadata_fields=tuple(rows[0]))))
    assert [record.text for record in records] == [row["text"] for row in rows]
    assert isinstance(records[0], Document)
    assert json.loads(records[0].metadata or "") == rows[0]
