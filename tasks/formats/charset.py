"""Bytes to text: byte order marks, UTF-8, declared encodings, and what reads with certainty as Chinese or Western."""

import codecs
import re

from tasks.formats.records import Unusable
from tasks.formats.script_evidence import looks_chinese, looks_japanese, looks_korean, looks_western

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {"utf-8-sig": "utf-8", "cp950": "big5", "big5hkscs": "big5", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}
_EVIDENCE_BYTES = 1 << 18
_MIN_NULS = 0.5


def bom_encoding(data: bytes) -> str | None:
    """The encoding that a byte order mark announces."""
    return next((name for mark, name in _BOMS if data.startswith(mark)), None)


def decode(data: bytes, declared: str | None = None) -> str:
    """Text of bytes, without a byte order mark; `declared` is an encoding that the bytes themselves name.

    Raises Unusable (`not_utf8`) for bytes that are none of these with certainty: a wrong guess would be learnt from.
    """
    if marked := bom_encoding(data):
        return _decode_strictly(data, marked)
    if b"\0" in data and (wide := bare_utf16(data)):
        return _decode_strictly(data, wide)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        problem = f"byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8"
    text = _decoded_or_none(data, declared) if declared else None
    if text is not None:
        return text
    guessed = _guess(data, final=True)
    text = _decoded_or_none(data, guessed) if guessed else None
    if text is None:
        raise Unusable("not_utf8", f"{problem}, nor do the bytes read as another encoding for certain; set encoding")
    return text


def detect(sample: bytes, *, is_whole: bool = True) -> str | None:
    """The codec for text that begins with these bytes; None where it is not certain.

    A sample that is not the whole text may end within a character.
    """
    if marked := bom_encoding(sample):
        return marked
    if b"\0" in sample and (wide := bare_utf16(sample)):
        return wide
    if _decoded_or_none(sample, "utf-8", final=is_whole) is not None:
        return "utf-8"
    return _guess(sample, final=is_whole)


def plain_name(codec: str) -> str:
    """What an encoding is called in counts and messages: cp950 is Big5, with or without a mark is the same."""
    return _NAMES.get(codec, codec)


def bare_utf16(data: bytes) -> str | None:
    """The codec of UTF-16 without a mark when it is clearly so: printable Latin or Chinese text."""
    data = data[: min(_EVIDENCE_BYTES, len(data) & ~1)]
    if len(data) < 8:
        return None
    for codec, low, high in (("utf-16-le", data[0::2], data[1::2]), ("utf-16-be", data[1::2], data[0::2])):
        text = _decoded_or_none(data, codec, final=False)
        if text is None or not text.translate(_BLANKS).isprintable():
            continue
        if high.count(0) >= max(_MIN_NULS * len(high), 10 * low.count(0)) or looks_chinese(text):
            return codec
    return None


def declared_encoding(data: bytes, pattern: re.Pattern[bytes]) -> str | None:
    """The encoding named by the first group of a pattern, when Python knows it."""
    match = pattern.search(data)
    if match is None:
        return None
    name = match[1].decode("ascii").lower()
    try:
        codec = codecs.lookup("gb18030" if name in ("gb2312", "gbk", "gb_2312-80") else name)
    except LookupError:
        return None
    return codec.name


_BLANKS = dict.fromkeys(map(ord, "\t\n\r\f\ufeff\u3000\u00a0\u2028\u200b"), " ")


def _guess(data: bytes, *, final: bool) -> str | None:
    """The one encoding as which bytes that are not UTF-8 read, or None when there is none or more than one."""
    if len(data) > _EVIDENCE_BYTES:
        data, final = _around_first_foreign(data), False
    if _is_damaged_utf8(data) or _is_japanese_or_korean(data, final=final):
        return None
    found = []
    for family, looks_right in ((("gb18030",), looks_chinese), (("cp950", "big5hkscs"), looks_chinese)):
        texts = ((codec, _decoded_or_none(data, codec, final=final)) for codec in family)
        found += [codec for codec, text in texts if text is not None and looks_right(text)][:1]
    if not found:
        text = _decoded_or_none(data, "cp1252", final=final)
        found = ["cp1252"] if text is not None and looks_western(text) else []
    if not found and (wide := bare_utf16(data)):
        found = [wide]
    return found[0] if len(found) == 1 else None


def _around_first_foreign(data: bytes) -> bytes:
    """A window that begins at a line with a byte beyond ASCII."""
    first = re.search(rb"[\x80-\xff]", data)
    start = data.rfind(b"\n", 0, first.start()) + 1 if first else 0
    return data[start : start + _EVIDENCE_BYTES]


def _is_damaged_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    foreign = sum(character > "\x7f" for character in text)
    return 2 * text.count("\ufffd") < foreign


def _is_japanese_or_korean(data: bytes, *, final: bool) -> bool:
    for codec, looks_right in (("euc_jp", looks_japanese), ("cp932", looks_japanese), ("cp949", looks_korean)):
        text = _decoded_or_none(data, codec, final=final)
        if text is not None and looks_right(text):
            return True
    return False


def _decode_strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"the text begins as {encoding}, but offset {error.start} is not ({error.reason})"
        raise Unusable("not_utf8", message) from None


def _decoded_or_none(data: bytes, encoding: str, *, final: bool = True) -> str | None:
    try:
        if final:
            return data.decode(encoding)
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except (UnicodeError, LookupError):  # the latter for codecs that Python knows but that do not make text
        return None
