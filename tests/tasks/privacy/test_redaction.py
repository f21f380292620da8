"""Personal data that must go and look-alikes that must stay, in English and Chinese text.

Sample numbers come from the standards and vendors' documents: GB 11643-1999 (identity numbers), the card schemes' test
numbers, the IBAN registry's examples, RFC 7519 section 3.1, the AWS documentation.
"""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from params.privacy import KINDS, PrivacyParams
from tasks.privacy.redaction import redact

JWT = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # noqa: E501
PEM_BODY = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"[:64] for _ in range(5))
PEM = f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}\n-----END PRIVATE KEY-----"
ENCRYPTED_PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n"
    f"{PEM_BODY}\n-----END RSA PRIVATE KEY-----"
)


def redacted(*texts: str, **actions: str) -> list[str]:
    return redact(pa.array(texts, pa.large_string()), PrivacyParams(**actions)).column.to_pylist()


GONE = [
    ("Write to jane.doe+news@mail.acme.co.uk, please.", "Write to [EMAIL], please."),
    ("<mailto:x_1@a-b.org>", "<mailto:[EMAIL]>"),
    ("See bob@acme.com.Then go.", "See [EMAIL].Then go."),
    ("邮箱zhangsan@qq.com，欢迎来信。", "邮箱[EMAIL]，欢迎来信。"),
    ("邮箱：13812345678@163.com。", "邮箱：[EMAIL]。"),
    ("邮箱 ｚｈａｎｇ＠ｑｑ．ｃｏｍ 。", "邮箱 [EMAIL] 。"),
    ("ＱＱ邮箱：zhangsan＠qq.com", "ＱＱ邮箱：[EMAIL]"),
    ("from 93.184.216.34 port 22", "from [IPV4] port 22"),
    ("http://52.31.7.120:8080/x", "http://[IPV4]:8080/x"),
    ("nameserver 8.8.8.8", "nameserver [IPV4]"),
    ("服务器地址是8.8.4.4。", "服务器地址是[IPV4]。"),
    ("登录IP：１１４．１１４．１１４．１１４。", "登录IP：[IPV4]。"),
    ("hosts 52.31.7.120-52.31.7.129 are up.", "hosts [IPV4]-[IPV4] are up."),
    ("He came from 52.31.7.120.", "He came from [IPV4]."),
    ("[2606:2800:220:1:248:1893:25c8:1946]:443", "[[IPV6]]:443"),
    ("ping 2a00:1450:4001:81b::200e now", "ping [IPV6] now"),
    ("地址2606:4700:4700::1111。", "地址[IPV6]。"),
    ("call +1 (415) 555-2671 today", "call [PHONE] today"),
    ("call +14155552671.", "call [PHONE]."),
    ("+44 20 7946 0958 or +33.1.42.68.53.00", "[PHONE] or [PHONE]"),
    ("(+44 (0)20 7946 0958)", "([PHONE])"),
    ("Tel. 020 7946 0958", "Tel. [PHONE]"),
    ("Phone number: 415-555-2671", "Phone number: [PHONE]"),
    ("my office, (415) 555-2671, is open", "my office, [PHONE], is open"),
    ("电话13812345678。", "电话[PHONE]。"),
    ("请联系张三13812345678谢谢", "请联系张三[PHONE]谢谢"),
    ("手机号码：138-1234-5678", "手机号码：[PHONE]"),
    ("手机 138 1234 5678", "手机 [PHONE]"),
    ("手机：１３８１２３４５６７８。", "手机：[PHONE]。"),
    ("致电+86 138 1234 5678。", "致电[PHONE]。"),
    ("致电＋８６１３８１２３４５６７８。", "致电[PHONE]。"),
    ("手机86-13812345678", "手机[PHONE]"),
    ('{"phone":"13812345678"}', '{"phone":"[PHONE]"}'),
    ("办公室010-62345678，家里0755-86543210。", "办公室[PHONE]，家里[PHONE]。"),
    ("传真（010）62345678。", "传真[PHONE]。"),
    ("傳真(0755) 8654321", "傳真[PHONE]"),
    ("电话：400-820-8820", "电话：[PHONE]"),
    ("手机号是１３８-１２３４-５６７８", "手机号是[PHONE]"),
    ("请拨打021 6234 5678咨询，分机0755-8654321-12", "请拨打[PHONE]咨询，分机[PHONE]"),
    ("Call me at 415.555.2671", "Call me at [PHONE]"),
    ("My number is 415-555-2671.", "My number is [PHONE]."),
    ("0086-13812345678 张三", "[PHONE] 张三"),
    ("卡号：6222 0209 0300 1483 077", "卡号：[PAYMENT_CARD]"),
    ("身份证号11010519491231002X。", "身份证号[IDENTITY_NUMBER]。"),
    ("身份证440524188001010014号", "身份证[IDENTITY_NUMBER]号"),
    ("身份证：１１０１０５１９４９１２３１００２Ｘ", "身份证：[IDENTITY_NUMBER]"),
    ("Card 4111 1111 1111 1111 exp 12/27", "Card [PAYMENT_CARD] exp 12/27"),
    ("3782 822463 10005", "[PAYMENT_CARD]"),
    ("visa 4111111111111111", "visa [PAYMENT_CARD]"),
    ("银行卡号6222020903001483077，户名张三", "银行卡号[PAYMENT_CARD]，户名张三"),
    ("IBAN: GB82 WEST 1234 5698 7654 32.", "IBAN: [IBAN]."),
    ("an DE89370400440532013000 BIC", "an [IBAN] BIC"),
    ("账户BE68539007547034", "账户[IBAN]"),
    ("key AKIAIOSFODNN7EXAMPLE", "key [SECRET]"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = [SECRET]"),
    ('"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"', '"SecretAccessKey": "[SECRET]"'),
    ("token ghp_" + "a1B2" * 9, "token [SECRET]"),
    ("token github_pat_" + "A" * 22 + "_" + "b" * 59 + "!", "token [SECRET]!"),
    (f"Bearer {JWT}", "Bearer [SECRET]"),
    (f"a\n{PEM}\nb", "a\n[SECRET]\nb"),
    (f"a\n{ENCRYPTED_PEM}\nb", "a\n[SECRET]\nb"),
    (f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}\nThe end is missing.", "[SECRET]\nThe end is missing."),
    ("两个：13812345678、13912345678", "两个：[PHONE]、[PHONE]"),
]

STAY = [
    "build 1.2.3.4",
    "version 10.0.0.1-rc",
    "chapter 25.1.2.30",
    "see Section\u00a027.2.5.1 and 43.13.2.1",
    "36.2.1.1. Supported commands\n36.2.1.200. More",
    "Chrome/44.11.203.99 on Windows",
    "pip install foo==52.31.7.120",
    "foo-52.31.7.120.tar.gz",
    "v52.31.7.120",
    "OID 1.3.6.1.4.1.311",
    "版本号：52.31.7.120，第3.100.200.1节",
    "127.0.0.1, 10.1.2.3, 192.168.1.1, 172.16.0.9, 0.0.0.0, 255.255.255.0, 224.0.0.251, 192.0.2.7, 203.0.113.9",
    "256.300.1.2 and 08.31.07.120",
    "52.94.0.0/16",
    "::1 fe80::1 2001:db8::1 std::vec::Vec a::b 12:34:56 2024:01:02 2024:12:31:23:59",
    "me@example.com and you@mail.example.org",
    "git@github.com:torvalds/linux.git",
    "decorated with @app.route and a @ b.com",
    "x@y.shape, logo@2x.png, lodash@4.17.21",
    "user@localhost",
    "ISBN 978-7-04-019583-5 and 9787040195835",
    "DOI 10.1000/182, 10.1038/s41586-021-03819-2",
    "on 2024-01-02 03:04:05 and 2024-01-02T03:04:05+08:00",
    "phone 2024-01-02",
    "order 4111111111111111 shipped",
    "order no. 123-456-7890",
    "order 415-555-2671",
    "第13812345678号，编号为13912345678",
    "版本 52.3.100.7",
    "邮编100084，QQ：123456789，热线12345",
    "统一社会信用代码91110000100000000X，快递单号：13812345678",
    "订单号13812345678已发货",
    "共13812345678元，约13812345678人",
    "内存17179869184字节，即17179869184",
    "size=17179869184 offset=13812345678",
    "12345678901234567890123456789",
    "pi is 3.14159265358979323846, 1.4142135623730951",
    "0.4111111111111111 card",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "card 4111111111111112",
    "1111 4111 1111 1111 1111 2222",
    "11010519491231002X0",
    "身份证110105194912310021，出生日期错110105194913310025",
    "00010519491231002X",
    "GB82 WEST 1234 5698 7654 33",
    "RFC2616 and ISO8601 and AB12 CD34",
    "+2147483647 and +0800 and a+14155552671",
    "+1.23456789 and +49.123456789",
    "AKIAIOSFODNN7EXAMPL and XAKIAIOSFODNN7EXAMPLE1",
    "ghp_short and gho_",
    "eyJhbGci.notjson.x",
    "-----BEGIN CERTIFICATE-----\n" + PEM_BODY + "\n-----END CERTIFICATE-----",
    "write -----BEGIN PRIVATE KEY----- first and -----END PRIVATE KEY----- last",
    "the secret access key is kept in the vault",
    "床前明月光，疑是地上霜。一九四九年十月一日，第１２３４５６７号文件",
    "",
]


@pytest.mark.parametrize(("text", "expected"), GONE)
def test_personal_data_gives_way_to_a_typed_placeholder(text, expected):
    assert redacted(text) == [expected]


@pytest.mark.parametrize("text", STAY)
def test_what_only_looks_like_personal_data_stays(text):
    assert redacted(text) == [text]


def test_documents_side_by_side_do_not_see_each_other():
    assert redacted("电话", "13812345678", "me@", "acme.com") == ["电话", "13812345678", "me@", "acme.com"]
    assert redacted("x", "电话13812345678", "", "a@b.com c") == ["x", "电话[PHONE]", "", "[EMAIL] c"]


def test_a_slice_of_a_column_is_redacted_like_a_column():
    column = pa.array(["a@b.com", "电话13812345678 ok", "ＱＱ a＠b.com", "zz"], pa.large_string())
    assert redact(column.slice(1, 2), PrivacyParams()).column.to_pylist() == ["电话[PHONE] ok", "ＱＱ [EMAIL]"]
    assert redact(column.slice(1, 2), PrivacyParams()).counts["phone"].tolist() == [1, 0]
    assert redact(column.slice(0, 0), PrivacyParams()).column.to_pylist() == []


def test_each_kind_is_replaced_dropped_or_kept_and_always_counted():
    column = pa.array(["a@b.com c@d.org", "电话13812345678", "nameserver 8.8.8.8", "nothing"], pa.large_string())
    found = redact(column, PrivacyParams(email="keep", phone="drop"))
    assert found.column.to_pylist() == ["a@b.com c@d.org", "电话13812345678", "nameserver [IPV4]", "nothing"]
    assert found.drop.tolist() == [False, True, False, False]
    counts = {kind: found.counts[kind].tolist() for kind in ("email", "phone", "ipv4")}
    assert counts == {"email": [2, 0, 0, 0], "phone": [0, 1, 0, 0], "ipv4": [0, 0, 1, 0]}
    assert set(found.counts) == set(KINDS)


def test_the_placeholder_is_a_parameter():
    assert redacted("a@b.com", placeholder="<{kind} removed>") == ["<EMAIL removed>"]
    assert redacted("a@b.com", placeholder="") == [""]
    with pytest.raises(ValidationError, match="braces"):
        PrivacyParams(placeholder="{type}")


@pytest.mark.parametrize("text", [text for text, _ in GONE])
def test_a_second_time_changes_nothing(text):
    once = redacted(text)
    assert redacted(*once) == once


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.sampled_from("1203456789.-+()@:aAgheyJ_ 卡电话＠１．"), max_size=80), max_size=4))
def test_any_mixture_stays_valid_text_outside_the_spans(texts):
    made = redacted(*texts)
    for text, rest in zip(texts, made, strict=True):
        pieces = [re.escape(piece) for piece in re.split(r"\[[A-Z0-9_]+\]", rest)]
        assert re.fullmatch("(?s:.+?)".join(pieces), text, re.S)


@pytest.mark.parametrize(
    "piece", ["a.", "1.", "@", "a@", "1", "12 ", "1234 ", "-", "eyJ", "AB12", "+1 ", "１", "secret"]
)
def test_a_megabyte_of_one_piece_costs_no_more_than_other_text(piece):
    """Whatever took time by the square would take hours here."""
    text = piece * (1_000_000 // len(piece))
    assert redacted(text) == [text]
