"""JSON lines: good lines, every kind of bad line, and lines that never end."""

import gzip
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.compression import CODECS, Unpacked
from tasks.formats.json_lines import read_json_lines
from tasks.formats.records import Document, Malformed, ReadOptions, Record


def read(data: bytes, **options: object) -> list[Record]:
    return list(read_json_lines(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


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


def test_byte_order_marks_are_read_and_removed():
    text = '{"text": "静夜思"}\n{"text": "b"}\n'
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert read(text.encode(encoding)) == [Document(1, "静夜思"), Document(2, "b")]


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
    *documents, last = read_json_lines(Unpacked(io.BytesIO(packed[: len(packed) // 2]), CODECS[".gz"]), ReadOptions())
    assert documents == [Document(n + 1, f"line {n}") for n in range(len(documents))]
    assert len(documents) > 10_000
    assert isinstance(last, Malformed)
    assert (last.position, last.rule) == (len(documents) + 1, "truncated_gzip")


@given(st.lists(st.text(min_size=1).filter(lambda text: not text.isspace())), st.booleans(), st.booleans())
def test_texts_survive_a_round_trip(texts: list[str], escaped: bool, end: bool):
    data = "\n".join(json.dumps({"text": text}, ensure_ascii=escaped) for text in texts) + "\n" * end
    assert read(data.encode()) == [Document(number, text) for number, text in enumerate(texts, start=1)]
