"""WARC and WET: pages, texts, metadata, and damage that costs only its record. FastWARC writes the good ones."""

import gzip
import io

import pytest
from fastwarc.stream_io import GzipWriter
from fastwarc.warc import WarcRecord, WarcRecordType

from tasks.formats.records import Document, Malformed, ReadOptions, Record
from tasks.formats.web_archive import read_warc

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def block(body: bytes, kind: str = "response", **headers: str) -> bytes:
    """A WARC record written by hand."""
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:0>",
        "WARC-Date": "2024-02-29T12:00:00Z",
        "Content-Type": "application/http; msgtype=response" if kind == "response" else "text/plain",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + body + b"\r\n\r\n"


def http(body: bytes, kind: str = "text/html", status: str = "200 OK", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{lines}\r\n".encode() + body


def page(text: str, encoding: str = "utf-8") -> bytes:
    return f"<html><body><nav><a href='/'>Home</a></nav><main><p>{text}</p></main></body></html>".encode(encoding)


def read(data: bytes, **options: object) -> list[Record]:
    return list(read_warc(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


def outcome(data: bytes, **options: object) -> list[tuple[int, str]]:
    return [(r.position, r.text if isinstance(r, Document) else r.rule) for r in read(data, **options)]


BLOCKS = [block(http(page(f"Paragraph {n} of text."))) for n in range(1, 4)]


@pytest.mark.parametrize("packed", [False, True])
def test_what_fastwarc_writes_is_read(packed: bool):
    file = io.BytesIO()
    for n in range(1, 4):
        record = WarcRecord()
        record.init_headers(WarcRecordType.response)
        record.is_http = True
        record.headers["WARC-Target-URI"] = f"https://example.org/{n}"
        record.set_bytes_content(http(page(f"Paragraph {n} of text.")))
        if packed:
            with GzipWriter(file) as writer:
                record.write(writer, checksum_data=True)
        else:
            record.write(file, checksum_data=True)
    documents = read(file.getvalue(), metadata_fields=("url",))
    assert documents == [
        Document(n, f"Paragraph {n} of text.", f'{{"url":"https://example.org/{n}"}}') for n in range(1, 4)
    ]


def test_wet_records_are_texts_and_headers_are_metadata():
    headers = {"WARC_Target_URI": "https://example.org/", "WARC_Identified_Content_Language": "zho,eng"}
    data = block(b"software: x", "warcinfo") + block(POEM.encode(), "conversion", **headers)
    fields = ("date", "url", "language", "WARC-Type", "absent")
    assert read(data, metadata_fields=fields) == [
        Document(
            2,
            POEM,
            '{"date":"2024-02-29T12:00:00Z","url":"https://example.org/","language":"zho,eng","WARC-Type":"conversion"}',
        )
    ]


def test_the_charset_of_http_is_used():
    for encoding, declared in (("gb18030", "GB2312"), ("big5", "big5"), ("utf-8", "utf-8")):
        text = POEM if encoding != "big5" else "靜夜思，春眠不覺曉。"
        data = block(http(page(text, encoding), f'text/html; charset="{declared}"'))
        assert outcome(data) == [(1, text)]


def test_chunked_and_compressed_bodies_are_decoded_and_those_stored_decoded_are_taken_as_they_are():
    body = page("A paragraph of text.")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for data in (
        http(chunked, Transfer_Encoding="chunked"),
        http(gzip.compress(body), Content_Encoding="gzip"),
        http(body, Transfer_Encoding="chunked"),
        http(body, Content_Encoding="gzip"),
    ):
        assert outcome(block(data)) == [(1, "A paragraph of text.")]


def test_what_is_no_text_or_was_not_found_is_quarantined_with_its_address():
    url = "https://example.org/x"
    data = (
        block(http(b"\x89PNG" + bytes(100), "image/png"), WARC_Target_URI=url)
        + block(http(page("Not here."), status="404 Not Found"), WARC_Target_URI=url)
        + block(http(b"plain text", "text/plain"))
        + block(b"GET / HTTP/1.1\r\n\r\n", "request")
        + block(page("A resource."), "resource", Content_Type="text/html")
        + block(b"20240229120000 example.org. 60 IN A 192.0.2.1", Content_Type="text/dns")
    )
    records = read(data)
    assert outcome(data) == [
        (1, "not_text"),
        (2, "http_status"),
        (3, "plain text"),
        (5, "A resource."),
        (6, "not_text"),
    ]
    assert isinstance(records[0], Malformed)
    assert records[0].detail == f"content of type image/png; {url}"


def packed(*blocks: bytes) -> bytes:
    return b"".join(map(gzip.compress, blocks))


DAMAGED = [
    BLOCKS[1].replace(b"WARC/1.0", b"GARB/1.0"),
    BLOCKS[1].replace(b"Content-Length: ", b"Content-Length: 9"),
    BLOCKS[1].replace(b"Content-Length: ", b"Content-Length: 99999999"),
    BLOCKS[1].replace(b"Content-Length: 1", b"Content-Length: "),
    BLOCKS[1].replace(b"Content-Length: ", b"Content-Length: x"),
    BLOCKS[1][:-60],
]


@pytest.mark.parametrize("bad", DAMAGED)
@pytest.mark.parametrize("join", [lambda *blocks: b"".join(blocks), packed])
def test_a_damaged_record_costs_only_itself(bad: bytes, join):
    assert bad != BLOCKS[1]
    found = outcome(join(BLOCKS[0], bad, BLOCKS[2]))
    assert found == [(1, "Paragraph 1 of text."), (2, "damaged_warc"), (3, "Paragraph 3 of text.")]


@pytest.mark.parametrize("at", [3, 12, 60, 120, -6])
def test_a_damaged_gzip_member_costs_only_its_record(at: int):
    members = [bytearray(gzip.compress(data)) for data in BLOCKS]
    members[1][at] ^= 0xFF
    found = outcome(b"".join(members))
    assert found[0] == (1, "Paragraph 1 of text.")
    assert found[-1] == (len(found), "Paragraph 3 of text.")
    assert {rule for _, rule in found[1:-1]} == {"damaged_gzip"}


@pytest.mark.parametrize("missing", [1, 8, 30, 100])
def test_a_cut_gzip_gives_the_records_before_the_cut(missing: int):
    data = packed(*BLOCKS)[:-missing]
    assert outcome(data) == [
        (1, "Paragraph 1 of text."),
        (2, "Paragraph 2 of text."),
        (3, "truncated_gzip"),
    ]


def test_a_record_over_the_limit_costs_only_itself():
    big = block(http(page("x" * 3_000_000)))
    records = read(BLOCKS[0] + big + BLOCKS[2], max_bytes=1_000_000)
    assert [r.position for r in records if isinstance(r, Document)] == [1, 3]
    assert isinstance(records[1], Malformed)
    assert records[1].rule == "too_large"


def test_a_compressed_body_over_the_limit_is_not_unpacked_whole():
    bomb = block(http(gzip.compress(page("x" * 3_000_000)), Content_Encoding="gzip"))
    assert outcome(bomb + BLOCKS[0], max_bytes=1_000_000) == [(1, "too_large"), (2, "Paragraph 1 of text.")]


@pytest.mark.parametrize("data", [b'{"text": "a"}\n' * 9, b"PK\x03\x04" + bytes(100), gzip.compress(b"plain text")])
def test_another_file_is_not_what_its_name_says(data: bytes):
    assert outcome(data) == [(1, "not_what_its_name_says")]


def test_a_file_without_pages_has_no_records():
    assert read(b"") == read(block(b"software: x", "warcinfo")) == []
