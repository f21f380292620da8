"""CSV and TSV: what RFC 4180 allows, and what each fault costs."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.csv_table import read_csv, read_tsv
from tasks.formats.records import Document, Malformed, ReadOptions, Record, Unusable


class Dribble(io.BytesIO):
    """A stream that gives few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(5000 if size is None or size < 0 else min(size, 5000))


def read(data: bytes | str, **options: object) -> list[Record]:
    data = data.encode() if isinstance(data, str) else data
    return list(read_csv(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


def outcome(data: bytes | str, **options: object) -> list[tuple[int, str]]:
    """Line with the text of a document or the rule of what is none."""
    return [(r.position, r.text if isinstance(r, Document) else r.rule) for r in read(data, **options)]


def tsv(data: str) -> list[tuple[int, str]]:
    records = read_tsv(io.BytesIO(data.encode()), ReadOptions())
    return [(r.position, r.text if isinstance(r, Document) else r.rule) for r in records]


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks_and_positions_are_lines():
    data = 'id,text\n1,plain\n2,"a, ""b""\nsecond\r\nthird"\n3,"静夜思"\n'
    assert outcome(data) == [(2, "plain"), (3, 'a, "b"\nsecond\r\nthird'), (6, "静夜思")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(end: str):
    assert outcome(end.join(["text,n", "a,1", "", "b,2", ""])) == [(2, "a"), (4, "b")]


def test_a_last_row_without_line_end_counts():
    assert outcome("n,text\n1,a\n2,b") == [(2, "a"), (3, "b")]
    assert outcome('n,text\n1,"a"\n2,"b"') == [(2, "a"), (3, "b")]
    assert outcome("text,n\na,") == [(2, "a")]


def test_a_header_is_found_behind_a_byte_order_mark_and_blank_lines():
    assert outcome("\ufeff\n\n text ,n\na,1\n") == [(4, "a")]


def test_semicolons_and_tabs_delimit_where_only_they_make_the_header_fit():
    assert outcome('id;text\n1;"a; b"\n2;c, d\n') == [(2, "a; b"), (3, "c, d")]
    assert outcome("id\ttext\n1\ta, b\n") == [(2, "a, b")]
    assert outcome("text,x;y\na;b,c\n") == [(2, "a;b")]


def test_a_single_column_needs_no_delimiter():
    assert outcome('text\na\n\n"b, c"\n""\n') == [(2, "a"), (4, "b, c"), (5, "empty")]


def test_a_row_with_another_number_of_cells_is_quarantined_with_its_line():
    records = read("id,text\n1,a\n2\n3,b,c\n4,d\n")
    assert [r.position for r in records if isinstance(r, Document)] == [2, 5]
    assert [r for r in records if isinstance(r, Malformed)] == [
        Malformed(3, "wrong_columns", "1 cells, but the header has 2", "2", 1.0, 2.0),
        Malformed(4, "wrong_columns", "3 cells, but the header has 2", "3,b,c", 3.0, 2.0),
    ]


def test_an_unbalanced_quote_costs_one_line_where_other_cells_are_quoted():
    data = 'id,text\n1,"a"\n2,"b\n3,"c"\n4,"d"\n'
    assert outcome(data) == [(2, "a"), (3, "malformed_csv"), (4, "c"), (5, "d")]


def test_an_unbalanced_quote_costs_one_line_where_no_other_cell_is_quoted():
    rows = "".join(f"{n},text {n}\n" for n in range(3, 50_000))
    data = f'id,text\n2,"b\n{rows}'
    assert outcome(data)[:3] == [(2, "malformed_csv"), (3, "text 3"), (4, "text 4")]
    assert outcome(data, max_bytes=100_000) == outcome(data)
    assert len(outcome(data)) == 49_998


def test_quotes_within_an_unquoted_cell_are_characters():
    assert outcome('id,text\n1,5" disk and "more"\n') == [(2, '5" disk and "more"')]


def test_something_behind_a_closing_quote_costs_its_line():
    assert outcome('id,text\n1,"he said "hi" to me"\n2,b\n') == [(2, "malformed_csv"), (3, "b")]


def test_tsv_takes_quotes_literally_where_they_do_not_fit():
    data = 'id\ttext\n1\t"Hello," she said.\n2\t"a\tb"\n3\t"No end\n4\td\n5\t"x" y\tz\n'
    assert tsv(data) == [(2, '"Hello," she said.'), (3, "a\tb"), (4, '"No end'), (5, "d"), (6, "malformed_csv")]


def test_nul_bytes_are_characters_of_their_cell():
    assert outcome(b"id,text\n1,a\0b\n\0,c\n") == [(2, "a\0b"), (3, "c")]


def test_only_wanted_cells_need_be_in_the_encoding():
    data = b"junk,text\n\xff\xfe\xfd,a\nx,\xff\xfe\xfd\ny,c\n"
    assert outcome(data) == [(2, "a"), (3, "not_utf8"), (4, "c")]


def test_metadata_is_taken_from_the_row():
    assert read('lang,text,id\nen,a,1\n"z""h",b,\n', metadata_fields=("id", "absent", "lang")) == [
        Document(2, "a", '{"id":"1","lang":"en"}'),
        Document(3, "b", '{"id":"","lang":"z\\"h"}'),
    ]


def test_of_two_columns_with_one_name_the_first_counts():
    assert outcome("text,text\na,b\n") == [(2, "a")]


def test_a_file_without_the_column_is_one_record_that_says_what_is_there():
    (record,) = read("id,body\n1,a\n2,b\n")
    assert record == Malformed(1, "missing_text", "no column 'text'; columns are id, body", "id,body\n1,a\n2,b\n")


def test_a_file_without_rows_has_no_records():
    assert read("") == read("\n\n") == read("id,text\n") == read("id,text") == []


@pytest.mark.parametrize("data", [b"%PDF-1.7" + bytes(100), bytes(range(256)) * 9])
def test_a_binary_file_is_not_what_its_name_says(data: bytes):
    assert outcome(data) == [(1, "not_what_its_name_says")]


def test_a_row_over_the_limit_costs_only_itself():
    data = "id,text\n1,a\n2," + "x" * 3_000_000 + '\n3,b\n4,"' + "y" * 3_000_000 + '"\n5,c\n'
    records = read(data, max_bytes=1_000_000)
    assert [r.position for r in records if isinstance(r, Document)] == [2, 4, 6]
    large = [r for r in records if isinstance(r, Malformed)]
    assert [(r.position, r.rule, r.value) for r in large] == [(3, "too_large", 3.000002), (5, "too_large", 3.000004)]
    assert all(len(r.text) <= 1 << 16 for r in large)


def test_a_stream_that_was_cut_gives_the_rows_before_the_cut():
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if data := super().read(100):
                return data
            raise Unusable("truncated_gzip", "the gzip stream ends before its end mark")

    rows = "id,text\n" + "".join(f"{n},text {n}\n" for n in range(100))
    *documents, last = read_csv(Cut(rows.encode()[:-3]), ReadOptions())
    assert [record.text for record in documents] == [f"text {n}" for n in range(99)]
    assert isinstance(last, Malformed)
    assert (last.position, last.rule, last.text) == (101, "truncated_gzip", "99,text ")


cells = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t", exclude_characters="\ufeff"),
    max_size=20,
)


@given(
    st.lists(st.tuples(cells, cells.filter(str.strip)), max_size=20),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]], quoting: int):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting).writerows([("other", "text"), *rows])  # type: ignore[arg-type]
    assert [record.text for record in read(file.getvalue())] == [text for _, text in rows]


def test_long_rows_arrive_in_any_chunks():
    texts = [f'{n} "q"\n' + "静夜思" * 5000 for n in range(20)]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("text", "n"), *((text, n) for n, text in enumerate(texts))])
    records = list(read_csv(Dribble(file.getvalue().encode()), ReadOptions()))
    assert [record.text for record in records] == texts
    assert [record.position for record in records] == [2 + 2 * n for n in range(20)]
