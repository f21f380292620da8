"""Encodings: what is taken for certain, and what is refused rather than guessed."""

import pytest

from tasks.formats.charset import decode, looks_chinese
from tasks.formats.records import Unusable

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
MODERN = "我们在这里介绍如何安装这个程序，并且说明每一个参数的作用。如果你有问题，请先看说明文件。"
TRADITIONAL = "我們在這裡說明如何使用這個程式，並且介紹每一個參數的作用。如果你有問題，請先看說明。"
CLASSICAL = "學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？"
KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았다."
)
JAPANESE = "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits. Déjà créé, où ça ?"
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Größe, Übermut, Fuß."


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
        (FRENCH, "latin-1"),
        (GERMAN, "latin-1"),
        (TRADITIONAL, "big5"),
        ("Café\n", "latin-1"),
        ("fiancée", "cp1252"),
    ],
)
def test_bytes_in_another_encoding_are_refused_not_guessed(text: str, encoding: str):
    with pytest.raises(Unusable) as refused:
        decode(text.encode(encoding))
    assert refused.value.rule == "not_utf8"


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


def test_text_without_an_ideograph_does_not_look_chinese():
    assert not looks_chinese("plain")
    assert not looks_chinese("，。")
