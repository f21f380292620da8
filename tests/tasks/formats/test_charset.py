"""Encodings: what is taken for certain, and what is refused rather than guessed."""

import pytest

from tasks.formats.charset import bare_utf16, decode, detect, plain_name
from tasks.formats.records import Unusable

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
MODERN = "我们在这里介绍如何安装这个程序，并且说明每一个参数的作用。如果你有问题，请先看说明文件。"
TRADITIONAL = "我們在這裡說明如何使用這個程式，並且介紹每一個參數的作用。如果你有問題，請先看說明。"
CLASSICAL = "學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？"
POETRY = "聞道收宗廟，鳴鑾自陝歸。傾都看黃屋，正殿引朱衣。劍外春天遠，巴西敕使稀。念君輕世亂，匹馬向王畿。"
KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았다."
)
JAPANESE = "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits. Déjà créé, où ça ?"
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Größe, Übermut, Fuß."

SPANISH = "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón."
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem."
CZECH = "Všichni lidé se rodí svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím."
TURKISH = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler."
GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."
ENGLISH = "It is the company’s “café” in the old town – and you are all invited to the opening of it."


@pytest.mark.parametrize("text", [POEM, MODERN, TRADITIONAL, CLASSICAL, f"README\n\n{MODERN}\nversion 1.0"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
def test_chinese_is_read_in_every_usual_encoding(text: str, encoding: str):
    assert decode(text.encode(encoding)) == text


def test_gbk_and_gb2312_are_read_as_gb18030():
    assert decode(TRADITIONAL.encode("gbk")) == TRADITIONAL
    assert decode(MODERN.encode("gb2312")) == MODERN


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "euc-kr"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "shift-jis"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "cp866"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859-2"),
        (CZECH, "cp1250"),
        (TURKISH, "cp1254"),
        (GREEK, "cp1253"),
        (FRENCH, "cp850"),
        (FRENCH, "mac_roman"),
        (GERMAN, "cp437"),
        (GERMAN, "mac_roman"),
        (SPANISH, "cp850"),
        ("Café\n", "latin-1"),
        ("fiancée", "cp1252"),
    ],
)
def test_bytes_in_another_encoding_are_refused_not_guessed(text: str, encoding: str):
    with pytest.raises(Unusable) as refused:
        decode(text.encode(encoding))
    assert refused.value.rule == "not_utf8"


@pytest.mark.parametrize("text", [FRENCH, GERMAN, SPANISH, ENGLISH])
def test_western_text_is_read_in_windows_1252(text: str):
    data = text.encode("cp1252")
    assert detect(data) == "cp1252"
    assert decode(data) == text


def test_latin_1_is_read_as_a_part_of_windows_1252():
    assert decode(FRENCH.encode("latin-1")) == FRENCH


@pytest.mark.parametrize("text", [TRADITIONAL, CLASSICAL, POETRY])
@pytest.mark.parametrize("encoding", ["big5", "cp950", "big5hkscs"])
def test_traditional_chinese_is_read_in_big5(text: str, encoding: str):
    assert plain_name(detect(text.encode(encoding)) or "") == "big5"
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", [MODERN, TRADITIONAL, FRENCH, "plain\r\nASCII"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_known_without_a_mark(text: str, encoding: str):
    assert bare_utf16(text.encode(encoding)) == encoding
    assert decode(text.encode(encoding)) == text


def test_bytes_with_nuls_that_are_no_text_are_not_utf16():
    assert bare_utf16(b"ab\0cd" * 10) is None
    assert bare_utf16(bytes(range(256)) * 4) is None
    assert bare_utf16(bytes(100)) is None


@pytest.mark.parametrize(
    ("text", "encoding"), [(KOREAN, "cp949"), (JAPANESE, "euc_jp"), (JAPANESE, "cp932"), (RUSSIAN, "cp1251")]
)
def test_long_text_in_another_encoding_is_refused_too(text: str, encoding: str):
    with pytest.raises(Unusable, match="not UTF-8"):
        decode((text * 50).encode(encoding))


def test_german_umlauts_among_letters_are_not_taken_for_ideographs():
    text = "Das Maß für die Geräte wächst, und die Einträge für Bücher müssen größer werden. " * 20
    assert decode(text.encode("latin-1")) == text


def test_a_sample_may_end_within_a_character():
    for text, encoding, name in (
        (MODERN * 9, "utf-8", "utf-8"),
        (MODERN * 9, "gb18030", "gb18030"),
        (TRADITIONAL * 9, "big5", "big5"),
    ):
        data = text.encode(encoding)
        assert {plain_name(detect(data[:end], is_whole=False) or "") for end in (300, 301, 302)} == {name}


def test_utf8_with_one_bad_byte_is_refused_with_its_offset_and_not_taken_for_chinese():
    data = MODERN.encode() * 5 + b"\xff" + MODERN.encode() * 5
    with pytest.raises(Unusable, match=f"0xff at offset {len(MODERN.encode()) * 5} is not UTF-8"):
        decode(data)


def test_a_declared_encoding_is_believed_when_it_fits():
    assert decode(TRADITIONAL.encode("big5"), "big5") == TRADITIONAL
    assert decode(FRENCH.encode("latin-1"), "iso8859-1") == FRENCH


@pytest.mark.parametrize("declared", ["hex_codec", "undefined", "punycode"])
def test_a_declared_codec_that_makes_no_text_is_not_believed(declared: str):
    assert decode(MODERN.encode("gbk"), declared) == MODERN


def test_a_byte_order_mark_that_lies_is_refused():
    with pytest.raises(Unusable, match="utf-16"):
        decode(b"\xff\xfea")
