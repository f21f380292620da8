"""Bytes to text: UTF-8 first, byte order marks, declared encodings, and GB 18030 where the result reads as Chinese."""

import codecs
import re

from tasks.formats.records import Unusable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_CHARACTERS = 20_000
_MIN_CHINESE = 0.95
_MIN_FREQUENT = 0.25
# Over half of running Chinese, modern or classical, consists of a few hundred characters. Korean, Japanese or Western
# bytes read as GB 18030 scatter over thousands, so the share of these among the ideographs tells them apart.
_FREQUENT = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行"
    "所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力"
    "它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产"
    "或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口"
    "认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区"
    "保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张"
    "風雲春花秋夜江歸處獨飛鳥城樓客愁酒這個們來為國說時會對後發經麼還進樣開從實軍無與長機關點業將兩間問應戰頭體"
    "產話給門東聲員論義認條氣題變總電數報結務場計資許統區隊決馬書則聽卻達強難權設記類據邊張不曰其若乃今夫吾君臣"
)
_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》〈〉「」『』【】—…·　～")


def bom_encoding(data: bytes) -> str | None:
    """The encoding that a byte order mark announces."""
    return next((name for mark, name in _BOMS if data.startswith(mark)), None)


def decode(data: bytes, declared: str | None = None) -> str:
    """Text of bytes, without a byte order mark; `declared` is an encoding that the bytes themselves name.

    Raises Unusable (`not_utf8`) for bytes that are none of these with certainty: a wrong guess would be learnt from.
    """
    if marked := bom_encoding(data):
        return _decode_strictly(data, marked)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        problem = f"byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8"
    for encoding in filter(None, (declared, "gb18030")):
        text = _decoded_or_none(data, encoding)
        if text is not None and (encoding is declared or looks_chinese(text)):
            return text
    raise Unusable("not_utf8", f"{problem}, nor are the bytes Chinese in GB 18030; convert them to UTF-8")


def looks_chinese(text: str) -> bool:
    """Whether text decoded as GB 18030 reads as Chinese rather than as another encoding mistaken for it."""
    foreign = [character for character in text[:_SAMPLE_CHARACTERS] if character > "\x7f"]
    ideographs = [character for character in foreign if "\u4e00" <= character <= "\u9fff"]
    if not ideographs:
        return False
    known = len(ideographs) + sum(character in _PUNCTUATION for character in foreign)
    frequent = sum(character in _FREQUENT for character in ideographs)
    return known >= _MIN_CHINESE * len(foreign) and frequent >= _MIN_FREQUENT * len(ideographs)


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


def _decode_strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"a byte order mark says {encoding}, but offset {error.start} is not ({error.reason})"
        raise Unusable("not_utf8", message) from None


def _decoded_or_none(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):  # the latter for codecs that Python knows but that do not make text
        return None
