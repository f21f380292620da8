"""Phone numbers: international, mainland Chinese, North American, and others that a word announces."""

import re

from tasks.privacy.places import Found

_COUNTRY_CODES = frozenset(
    b"1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 "
    b"86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 "
    b"237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 "
    b"267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 "
    b"381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 "
    b"598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853 855 856 "
    b"870 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 995 996 998".split()
)
"""ITU-T E.164, list of assigned codes."""
_MOBILE = rb"1(?:3\d|4[0-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9\d)"
_CHINESE_NATIONAL = re.compile(rb"(?:" + _MOBILE + rb"\d{8}|(?:10|2[0-57-9])\d{8}|[3-9]\d{9,10})\Z")
_NORTH_AMERICAN = re.compile(rb"[2-9]\d{2}[2-9]\d{6}\Z")
_GROUPS = re.compile(rb"\+\d{1,15}(?:[ .-]?\(\d{1,4}\)[ .-]?\d{1,12}|[ .-]\d{1,12}){0,6}")
_GROUP = re.compile(rb"\d+")
_END = rb"(?![\w@%]|[.,/-]\d)"
_CHINESE_MOBILE = re.compile(_MOBILE + rb"(?P<gap>[ -]?)\d{4}(?P=gap)\d{4}" + _END)
_OPENING = re.compile(rb"(?:\(|\xef\xbc\x88)\Z")
_CLOSED = rb"(?P<closing>\)|\xef\xbc\x89)"
_LANDLINE = re.compile(
    rb"(?P<area>010|02[0-57-9]|0[3-9]\d{2})(?:[ -]| ?"
    + _CLOSED
    + rb"[ -]?)(?P<local>[2-9]\d{2,3}[ -]?\d{4})(?:-\d{1,5})?"
    + _END
)
_BRACKETED = re.compile(rb"\([2-9]\d{2}\) ?[2-9]\d{2}[ .-]\d{4}" + _END)
_ANNOUNCED = re.compile(rb"\(?\d+\)?(?:[ .-]{1,2}\(?\d+\)?){0,5}" + _END)
_AFTER_CALL = re.compile(rb"[2-9]\d{2}(?P<gap>[ .-])[2-9]\d{2}(?P=gap)\d{4}" + _END)
_DATE = re.compile(rb"(?:19|20)\d{2}([ ./-]?)[01]?\d\1[0-3]?\d(?!\d)")
_HAN = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")
_NEAR = 48
_BEFORE_PHONE = re.compile(
    rb"(?i)(?:(?<![a-z])(?:tel|telephone|phone|fax|mobile|whatsapp|tel_?no|phone_?number|mobile_?number)|"
    + "电话|電話|手机|手機|传真|傳真|热线|熱線|座机|联系方式|聯繫方式|致电|☎|📞".encode()
    + r")(?:\s?(?:no|number|is))?(?:号码|號碼|号|號)?(?:为|為|是)?(?:[\s:.=\"'#()>]|：|（|）){0,6}\Z".encode(),
)
_BEFORE_CALL = re.compile(
    rb"(?i)(?<![a-z])(?:call|dial|text|cell|contact|reach|my number|our number)(?![a-z])[a-z ]{0,16}[\s:]\Z"
)
_BEFORE_ORDER = re.compile(
    "(?:单号|單號|编号|編號|货号|貨號|型号|型號|批号|批號|序号|序號|账号|帳號|流水号|流水號|流水|编码|編碼|QQ|QQ号|QQ群|第|¥|￥|\\$|€|£|#)"
    "(?:为|為|是)?(?:[\\s:.]|：){0,3}\\Z".encode()
)
_AFTER_AMOUNT = re.compile(
    rb" ?(?:bytes?\b|[KMG]?B\b)|" + " ?(?:字节|位元组|元|人|次|吨|万|亿|美元|条|個|个|年)".encode()
)
_TRUNK = re.compile(rb"(?<!\d)1[ -]?\Z")
_MIDDLE = re.compile(rb"(?:\d[-.]|\+)\Z")
_PREFIX = re.compile(rb"(?:\+|(?<![0-9])00|(?<![0-9]))86[ -]?\Z")


def find_international(before: bytes, after: bytes) -> Found | None:
    """A number that starts with + and a country code (E.164)."""
    match = _GROUPS.match(after)
    if match is None or before[-1:] in (b"+", b"."):
        return None
    ends = [group.end() for group in _GROUP.finditer(match[0])]
    for end in reversed(ends):
        number = after[:end]
        if not after[end : end + 1].isalnum() and _is_international(number):
            closes = after[end : end + 1] == b")" and number.count(b"(") > number.count(b")")
            return Found("phone", 0, end + closes)
    return None


def _is_international(number: bytes) -> bool:
    digits = b"".join(_GROUP.findall(number))
    code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in _COUNTRY_CODES), None)
    has_gaps = len(digits) + 1 < len(number)
    if code is None or number.count(b".") == 1 or not (8 if has_gaps else 10) <= len(digits) <= 15:
        return False
    national = digits[len(code) :]
    if code == b"1":
        return _NORTH_AMERICAN.match(national) is not None
    if code == b"86":
        return _CHINESE_NATIONAL.match(national.removeprefix(b"0")) is not None
    return len(set(national)) > 2


def find_bracketed(before: bytes, after: bytes) -> Found | None:
    """A North American number such as (415) 555-0132, or one after a word such as tel."""
    match = _BRACKETED.match(after)
    if match is None:
        return find_announced(before, after)
    trunk = _TRUNK.search(before)
    return Found("phone", -len(trunk[0]) if trunk else 0, match.end())


def find_chinese_phone(before: bytes, after: bytes) -> Found | None:
    """A mainland Chinese mobile or landline number in Chinese text or after a word such as tel."""
    mobile = _CHINESE_MOBILE.match(after)
    match = mobile or _LANDLINE.match(after)
    if match is None or _BEFORE_ORDER.search(before[-32:]) or _AFTER_AMOUNT.match(after[match.end() :]):
        return None
    if not (_HAN.search(before[-_NEAR:]) or _HAN.search(after[:_NEAR]) or _BEFORE_PHONE.search(before[-32:])):
        return None
    if mobile:
        value = int(mobile[0]) if not mobile["gap"] else 1
        prefix = _PREFIX.search(before)
        is_power = value > 1 and value & (value - 1) == 0
        if is_power or (prefix is None and _MIDDLE.search(before)):
            return None
        return Found("phone", -len(prefix[0]) if prefix else 0, match.end())
    if not _fits_area(match["area"], match["local"]) or _MIDDLE.search(before):
        return None
    opening = _OPENING.search(before) if match["closing"] else None
    return Found("phone", -len(opening[0]) if opening else 0, match.end())


def find_announced(before: bytes, after: bytes) -> Found | None:
    """7 to 15 digits right after a word such as tel, fax or 电话, or 3-3-4 digits after words such as call me at."""
    if not _BEFORE_PHONE.search(before[-32:]):
        match = _AFTER_CALL.match(after)
        return Found("phone", 0, match.end()) if match and _BEFORE_CALL.search(before[-32:]) else None
    match = _ANNOUNCED.match(after)
    if match is None or _DATE.match(after) or match[0].count(b".") == 1:
        return None
    digits = sum(map(len, _GROUP.findall(match[0])))
    return Found("phone", 0, match.end()) if 7 <= digits <= 15 else None


def _fits_area(area: bytes, local: bytes) -> bool:
    """Whether as many digits follow the area code as are in use: 8 in the big cities, 7 or 8 elsewhere."""
    digits = sum(map(len, _GROUP.findall(local)))
    return digits == 8 or (len(area) == 4 and digits == 7)
