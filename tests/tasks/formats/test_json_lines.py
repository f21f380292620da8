"""JSON lines: good lines, every kind of bad line, and lines that never end."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Iterable

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.formats.compression import CODECS, Unpacked
from tasks.formats.json_lines import read_json_lines
from tasks.formats.records import Document, Documents, Malformed, ReadOptions, Record, Records


def singly(found: Iterable[Records]) -> list[Record]:
    return [record for each in found for record in (each.each() if isinstance(each, Documents) else (each,))]


def read(data: bytes, **options: object) -> list[Record]:
    return singly(read_json_lines(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


def rules(records: list[Record]) -> list[tuple[int, str]]:
    return [(record.position, record.rule) for record in records if isinstance(record, Malformed)]


def test_one_bad_line_among_many_costs_only_itself():
    lines = [json.dumps({"text": f"number {n}"}) for n in range(1, 1001)]
    lines[499] = '{"text": "cut'
    records = read("\n".join(lines).encode())
    assert rules(records) == [(500, "malformed_json")]
    assert len(records) == 1000
    assert records[500] == Document(501, "number 501")


def test_each_kind_of_bad_line_has_its_rule_and_its_line():
    lines = [b'{"text": null}', b'{"text": 7}', b'{"body": "x"}', b'["text"]', b'{"text": "  \\n "}', b"}{"]
    lines += [b'{"text": "\xff\xfe"}', b'{"text": "\\ud800"}', b'{"text": "good"}']
    records = read(b"\n".join(lines) + b"\n")
    names = ["missing_text", "missing_text", "missing_text", "missing_text", "empty", "malformed_json", "not_utf8"]
    assert rules(records) == list(enumerate([*names, "malformed_json"], start=1))
    assert records[-1] == Document(9, "good")


def test_a_rejected_line_is_kept_with_what_was_wrong():
    (record,) = read(b'{"body": "x", "id": 1}')
    assert record == Malformed(1, "missing_text", "no key 'text'; keys are body, id", '{"body": "x", "id": 1}')


def test_blank_lines_and_windows_line_ends_are_no_documents():
    records = read(b'\r\n{"text": "a"}\r\n\r\n  \n{"text": "b"}\r\n')
    assert records == [Document(2, "a"), Document(5, "b")]


def test_another_key_can_hold_the_text():
    assert read('{"正文": "春眠不觉晓"}'.encode(), text_field="正文") == [Document(1, "春眠不觉晓")]


def test_nan_in_another_key_does_not_cost_the_document():
    assert read(b'{"text": "a", "score": NaN}') == [Document(1, "a")]


def test_nesting_without_end_is_quarantined():
    assert rules(read(b"[" * 100_000 + b'\n{"text": "a"}')) == [(1, "malformed_json")]


def test_a_byte_order_mark_is_removed():
    assert read('{"text": "静夜思"}\n{"text": "b"}\n'.encode("utf-8-sig")) == [Document(1, "静夜思"), Document(2, "b")]


def test_a_line_in_gb18030_is_read():
    line = '{"text": "我们在这里介绍如何安装这个程序，并且说明每一个参数的作用。"}'
    assert read(line.encode("gb18030")) == [Document(1, json.loads(line)["text"])]


def test_a_line_over_the_limit_costs_only_itself_and_little_memory():
    long = b'{"text": "' + b"x" * 5_000_000 + b'"}'
    records = read(b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n' + long, max_bytes=1_000_000)
    assert records[0] == Document(1, "a")
    assert records[2] == Document(3, "b")
    for record, position in ((records[1], 2), (records[3], 4)):
        assert isinstance(record, Malformed)
        assert (record.position, record.rule, record.threshold) == (position, "too_large", 1.0)
        assert record.value == len(long) / 1e6
        assert len(record.text) == 1 << 16


def test_a_cut_gzip_gives_the_whole_lines_before_the_cut():
    lines = b"".join(b'{"text": "line %d"}\n' % n for n in range(50_000))
    packed = gzip.compress(lines)
    stream = Unpacked(io.BytesIO(packed[: len(packed) // 2]), CODECS[".gz"])
    *documents, last = singly(read_json_lines(stream, ReadOptions()))
    assert documents == [Document(n + 1, f"line {n}") for n in range(len(documents))]
    assert len(documents) > 10_000
    assert isinstance(last, Malformed)
    assert (last.position, last.rule) == (len(documents) + 1, "truncated_gzip")


@given(st.lists(st.text(min_size=1).filter(lambda text: not text.isspace())), st.booleans(), st.booleans())
def test_texts_survive_a_round_trip(texts: list[str], escaped: bool, end: bool):
    data = "\n".join(json.dumps({"text": text}, ensure_ascii=escaped) for text in texts) + "\n" * end
    assert read(data.encode()) == [Document(number, text) for number, text in enumerate(texts, start=1)]


def test_metadata_is_a_json_object_in_the_order_asked_and_missing_fields_are_left_out():
    lines = [
        '{"id": 7, "text": "a", "meta": null}',
        '{"meta": {"k": [1, "文"]}, "id": "x", "text": "b"}',
        '{"text": "c"}',
    ]
    assert read("\n".join(lines).encode(), metadata_fields=("meta", "id")) == [
        Document(1, "a", '{"meta":null,"id":7}'),
        Document(2, "b", '{"meta":{"k":[1,"文"]},"id":"x"}'),
        Document(3, "c"),
    ]


def test_dots_lead_into_nested_objects_unless_a_key_has_that_very_name():
    lines = b'{"meta": {"body": {"text": "a"}, "n": 1}}\n{"meta.body.text": "b", "meta": {"body": {"text": "x"}}}\n'
    assert read(lines + b'{"meta": {"body": "c"}}', text_field="meta.body.text", metadata_fields=("meta.n",)) == [
        Document(1, "a", '{"meta.n":1}'),
        Document(2, "b"),
        Malformed(3, "missing_text", "no key 'meta.body.text'; keys are meta", '{"meta": {"body": "c"}}'),
    ]


def test_metadata_that_orjson_refuses_is_written_so_that_any_reader_takes_it():
    deep = "[" * 300 + "]" * 300
    line = '{"text": "a", "big": 18446744073709551616, "half": "x\\ud800", "nan": NaN, "deep": ' + deep + "}"
    (record,) = read(line.encode(), metadata_fields=("big", "half", "nan", "deep"))
    assert isinstance(record, Document)
    metadata = orjson.loads(record.metadata or "")
    assert (metadata["half"], metadata["nan"]) == ("x\ufffd", None)
    assert float(metadata["big"]) == 2.0**64
    assert json.dumps(metadata["deep"]).count("[") < 254


def test_half_a_surrogate_pair_costs_the_document_only_when_it_is_in_the_text():
    lines = b'{"text": "a", "other": "\\udc00"}\n{"text": "\\ud83d\\ude00"}\n{"text": "x\\ud83d"}\n'
    records = read(lines)
    assert records[:2] == [Document(1, "a"), Document(2, "\U0001f600")]
    assert rules(records) == [(3, "malformed_json")]


def test_of_a_key_that_stands_twice_the_last_one_counts():
    assert read(b'{"text": "a", "text": "b"}') == [Document(1, "b")]


def test_an_escaped_nul_is_a_character_and_a_raw_one_costs_its_line():
    records = read(b'{"text": "a\\u0000b"}\n{"text": "a\0b"}\n' + bytes(4096) + b'\n{"text": "c"}\n')
    assert [record for record in records if isinstance(record, Document)] == [Document(1, "a\0b"), Document(4, "c")]
    assert rules(records) == [(2, "malformed_json"), (3, "malformed_json")]


def test_a_binary_file_under_the_name_of_json_lines_is_one_record():
    for data in (b"%PDF-1.7\n" + bytes(1000), bytes(range(256)) * 40):
        (record,) = read(data)
        assert isinstance(record, Malformed)
        assert (record.position, record.rule) == (1, "not_what_its_name_says")


class Endless:
    """A line of `size` bytes that no disk holds."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._chunk = b"x" * (1 << 20)

    def read(self, size: int = 1 << 20, /) -> bytes:
        """The next bytes."""
        size = min(size, self._left, len(self._chunk))
        self._left -= size
        return self._chunk if size == len(self._chunk) else self._chunk[:size]


def test_a_line_of_two_gigabytes_takes_no_more_memory_than_the_limit():
    tracemalloc.start()
    (record,) = singly(read_json_lines(Endless(2_000_000_000), ReadOptions()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(record, Malformed)
    assert (record.rule, record.value) == ("too_large", 2_000.0)
    assert peak < 150_000_000


_WORDS = st.sampled_from(
    [
        *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"\0", b"\x1f", b"\x7f"),
        *(b"0", b"7", b"-", b"+", b".", b"1e5", b"01", b"-0", b"1.5E-3", b"1e400", b"9" * 30, b"true", b"null", b"NaN"),
        *(b'"text"', b'"text":', b'"a":', b'"x"', b"plain text, longer than eight bytes", b"\\n", b"\\/", b"\\u0000"),
        *(b"\\u4e2d", b"\\uD83D\\uDE00", b"\\ud83d", b"\\udc00", b"\\u12", b"\\uzzzz", b"\\x", b"\\u0074ext"),
        *("中文".encode(), "é😀".encode(), "\u3000".encode(), "\u00a0".encode(), "\U0010ffff".encode()),
        *(b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80"),
    ]
)
_KEYS = st.sampled_from(["text", "a", "文"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "a", "文"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """An object with a text, as a rule, in which some bytes are replaced by others."""
    row = draw(st.dictionaries(st.sampled_from(["a", "b", "文"]), _VALUES, max_size=3)) | {"text": draw(_VALUES)}
    line = json.dumps(row, ensure_ascii=draw(st.booleans()), indent=None).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(_WORDS) + line[at + draw(st.integers(0, 2)) :]
    return line.replace(b"\n", b" ")


def text_of(line: bytes) -> str | None:
    """The text of a line by orjson; None where there is none."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    text = row.get("text") if isinstance(row, dict) else None
    return text if isinstance(text, str) and text and not text.isspace() else None


@settings(max_examples=150)
@given(st.lists(_lines(), min_size=1, max_size=4))
def test_whole_lines_give_what_each_gives_by_itself_and_what_orjson_reads(lines: list[bytes]):
    alone = [record._replace(position=at) for at, line in enumerate(lines, start=2) for record in read(line)]
    assert read(b"\n" + b"\n".join(lines) + b"\n") == alone  # the first line of a chunk is never read by the kernel
    texts = {record.position: record.text for record in alone if isinstance(record, Document)}
    for at, line in enumerate(lines, start=2):
        if (text := text_of(line)) is not None:
            assert texts[at] == text


def test_many_lines_come_at_once_and_one_bad_line_divides_them():
    lines = [b'{"text": "%d"}' % n for n in range(40)]
    lines[20] = b"{"
    found = list(read_json_lines(io.BytesIO(b"\n".join(lines) + b"\n"), ReadOptions()))
    assert [type(each) for each in found] == [Document, Documents, Malformed, Documents]
    assert [record.position for record in singly(found)] == list(range(1, 41))


def test_unusual_lines_do_not_cost_the_usual_ones_their_order():
    lines = [b'{"text": "%d", "text": "%d"}' % (n, n) if n % 3 else b'{"text": "%d"}' % n for n in range(200)]
    assert read(b"\n".join(lines)) == [Document(n + 1, str(n)) for n in range(200)]
