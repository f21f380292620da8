"""Mail: encodings, parts, attachments, headers, and where one message of a mailbox ends."""

import io
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from tasks.formats.mail import read_mail, read_mailbox
from tasks.formats.records import Document, Malformed, ReadOptions, Record

POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"


def read(data: bytes, **options: object) -> list[Record]:
    return list(read_mailbox(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


def mail(body: str, kind: str = "text/plain", encoding: str = "utf-8", transfer: str = "8bit") -> bytes:
    head = f"Subject: x\nMIME-Version: 1.0\nContent-Type: {kind}; charset={encoding}\nContent-Transfer-Encoding: "
    return head.encode() + transfer.encode() + b"\n\n" + body.encode("gb18030" if encoding == "gb2312" else encoding)


@pytest.mark.parametrize("transfer", ["quoted-printable", "base64", "8bit"])
@pytest.mark.parametrize("charset", ["utf-8", "gb18030", "big5"])
def test_transfer_encodings_and_charsets_are_decoded(transfer: str, charset: str):
    text = POEM if charset != "big5" else "靜夜思，春眠不覺曉。\n"
    message = EmailMessage()
    message["Subject"] = "静夜思"
    message.set_content(text, charset=charset, cte=transfer)
    assert read_mail(message.as_bytes(), ReadOptions()) == Document(0, text)


def test_gb2312_means_gb18030_and_seven_bit_charsets_are_decoded():
    assert read_mail(mail("朱镕基\n", encoding="gb2312"), ReadOptions()) == Document(0, "朱镕基\n")
    assert read_mail(mail("明月\n", encoding="hz"), ReadOptions()) == Document(0, "明月\n")
    assert read_mail(mail("春はあけぼの\n", encoding="iso-2022-jp"), ReadOptions()) == Document(0, "春はあけぼの\n")


def test_of_alternatives_the_plain_text_is_taken_and_attachments_are_left_out():
    message = EmailMessage()
    message.set_content("The plain text.\n")
    message.add_alternative("<p>The page.</p>", subtype="html")
    message.add_attachment("notes\n", filename="notes.txt")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="a.png")
    assert read_mail(message.as_bytes(), ReadOptions()) == Document(0, "The plain text.\n")


def test_without_plain_text_the_main_text_of_the_page_is_taken():
    message = EmailMessage()
    message.set_content("  \n")
    message.add_alternative(f"<html><body><p>{POEM}</p></body></html>", subtype="html", charset="gb18030")
    record = read_mail(message.as_bytes(), ReadOptions())
    assert isinstance(record, Document)
    assert "".join(record.text.split()) == "".join(POEM.split())


def test_parts_of_a_mixed_message_follow_each_other_and_forwarded_messages_are_left_out():
    inner = EmailMessage()
    inner.set_content("forwarded\n")
    message = EmailMessage()
    message.set_content("one\n")
    message.make_mixed()
    for text in ("two\n",):
        part = EmailMessage()
        part.set_content(text)
        message.attach(part)
    message.attach(inner_part(inner))
    assert read_mail(message.as_bytes(), ReadOptions()) == Document(0, "one\n\n\ntwo\n")


def inner_part(message: EmailMessage) -> EmailMessage:
    part = EmailMessage()
    part.set_content(message)
    return part


def test_headers_are_metadata_decoded_and_in_the_order_asked():
    message = EmailMessage()
    message["Subject"] = "静夜思"
    message["From"] = "李白 <li@example.org>"
    message["Date"] = "Thu, 29 Feb 2024 12:00:00 +0800"
    message["Message-ID"] = "<1@example.org>"
    message.set_content("x\n")
    record = read_mail(message.as_bytes(), ReadOptions(metadata_fields=("date", "subject", "from", "cc", "message_id")))
    assert record == Document(
        0,
        "x\n",
        '{"date":"2024-02-29T12:00:00+08:00","subject":"静夜思","from":"李白 <li@example.org>",'
        '"message_id":"<1@example.org>"}',
    )


def test_a_mailbox_that_the_standard_library_wrote_gives_each_message(tmp_path: Path):
    texts = [f"Message {n}\n\nFrom here on it is text.\n>From\n" for n in range(20)]
    box = mailbox.mbox(tmp_path / "m.mbox")
    for text in texts:
        message = EmailMessage()
        message.set_content(text)
        box.add(mailbox.mboxMessage(message))
    box.close()
    records = read((tmp_path / "m.mbox").read_bytes())
    assert [record.position for record in records] == list(range(1, 21))
    assert [record.text.rstrip() for record in records] == [text.replace(">From\n", ">From").rstrip() for text in texts]


MESSAGE = "From a@example.org Thu Feb 29 12:00:00 2024\nSubject: x\n\n{}\n\n"


def test_a_line_that_begins_with_from_but_has_no_date_is_text():
    data = MESSAGE.format("one\n\nFrom then on\n\n>From us") + MESSAGE.format("two")
    assert [record.text.strip() for record in read(data.encode())] == ["one\n\nFrom then on\n\nFrom us", "two"]


def test_windows_line_ends_are_read():
    data = (MESSAGE.format("one") + MESSAGE.format("two")).replace("\n", "\r\n")
    assert [record.text.strip() for record in read(data.encode())] == ["one", "two"]


@pytest.mark.parametrize("offset", range(0, 60, 7))
def test_separators_are_found_wherever_chunks_end(offset: int):
    filler = "x" * ((1 << 20) - 200 + offset)
    data = MESSAGE.format(filler) + MESSAGE.format("two") + MESSAGE.format("three")
    assert [record.text.strip() for record in read(data.encode())] == [filler, "two", "three"]


def test_a_message_over_the_limit_costs_only_itself():
    data = MESSAGE.format("one") + MESSAGE.format("x" * 3_000_000) + MESSAGE.format("three")
    first, large, last = read(data.encode(), max_bytes=1_000_000)
    assert (first.text.strip(), last.text.strip()) == ("one", "three")
    assert isinstance(large, Malformed)
    assert (large.position, large.rule) == (2, "too_large")


def test_messages_without_text_or_with_unknown_bytes_are_quarantined():
    data = (
        MESSAGE.format("one").encode() + MESSAGE.format("").encode() + MESSAGE.encode().replace(b"{}", b"\xff\xfe\xfd")
    )
    rules = [record.rule for record in read(data) if isinstance(record, Malformed)]
    assert rules == ["empty", "not_utf8"]


def test_parts_nested_without_end_cost_only_their_message():
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(3000))
    data = MESSAGE.format("one") + MESSAGE.replace("Subject: x\n\n", nested).format("x") + MESSAGE.format("three")
    records = read(data.encode())
    assert [record.position for record in records] == [1, 2, 3]
    assert records[2].text.strip() == "three"


@pytest.mark.parametrize("data", [b'{"text": "a"}\n', b"From the beginning it was text.\n", b"PK\x03\x04" + bytes(99)])
def test_another_file_is_not_what_its_name_says(data: bytes):
    (record,) = read(data)
    assert isinstance(record, Malformed)
    assert (record.position, record.rule) == (1, "not_what_its_name_says")


def test_an_empty_mailbox_has_no_records():
    assert read(b"") == read(b"\n") == []
