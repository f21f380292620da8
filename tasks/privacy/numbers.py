"""Numbers with check digits: Chinese identity numbers, payment cards, bank accounts."""

import re
from datetime import date

from tasks.privacy.places import Found

_REGIONS = frozenset(
    b"11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()
)
"""GB/T 2260, first two digits: provinces; 81 to 83 for residents from Hong Kong, Macao and Taiwan."""
_IDENTITY = re.compile(rb"[1-9]\d{16}[\dXx](?![A-Za-z0-9_]|\.\d)")
_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECKS = b"10X98765432"
_FIRST_YEAR = 1880

_GROUPED = re.compile(
    rb"(?:\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{1,4}(?:(?P=gap)\d{3})?"
    rb"|3\d{3}(?P<dash>[ -])\d{6}(?P=dash)\d{4,5})"
    rb"(?![\w@]|[ .,-]\d)"
)
_PLAIN = re.compile(rb"\d{13,19}(?![\w@]|[.,]\d)")
_IN_NUMBER = re.compile(rb"\d[ -]\Z")
_NEAR_CARD = re.compile(
    rb"(?i:(?<![a-z])(?:cards?|visa|mastercard|amex|credit|debit|unionpay|card_?n(?:o|um|umber))(?![a-z]))|[a-z]Card|"
    + "卡|银行|銀行|银联|账号|帐号|賬號|帳號|账户|帐户".encode()
)
_ISSUERS = (
    (re.compile(rb"4"), (13, 16, 19)),  # Visa
    (re.compile(rb"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(rb"3[47]"), (15,)),  # American Express
    (re.compile(rb"6011|64[4-9]|65"), (16, 17, 18, 19)),  # Discover
    (re.compile(rb"62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile(rb"30[0-5]|3095|36|3[89]"), (14, 16, 17, 18, 19)),  # Diners
    (re.compile(rb"352[89]|35[3-8]"), (16, 17, 18, 19)),  # JCB
)
"""First digits (ISO/IEC 7812) and lengths of each issuer's numbers."""

_ACCOUNT_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in (
        b"AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 "
        b"FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
        b"LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 "
        b"SA24 SC31 SD18 SE24 SI19 SK24 SM27 ST25 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
    ).split()
}
"""Length of an account number by country (SWIFT IBAN registry)."""


def find_identity_number(before: bytes, after: bytes) -> Found | None:
    """A mainland Chinese identity number: region, birth date and check digit fit (GB 11643-1999)."""
    match = _IDENTITY.match(after)
    if match is None or match[0][:2] not in _REGIONS or not _is_birth_date(match[0][6:14]):
        return None
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, match[0].decode(), strict=False))
    return Found("identity_number", 0, 18) if match[0][17:].upper() == _CHECKS[total % 11 : total % 11 + 1] else None


def _is_birth_date(digits: bytes) -> bool:
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if not _FIRST_YEAR <= year < 2100:
        return False
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def find_payment_card(before: bytes, after: bytes) -> Found | None:
    """The number of a payment card; digits without gaps count only near a word such as card or 卡号."""
    match = _GROUPED.match(after)
    if match is None:
        match = _PLAIN.match(after)
        if match is None or not (_NEAR_CARD.search(before) or _NEAR_CARD.search(after[match.end() : match.end() + 32])):
            return None
    if _IN_NUMBER.search(before):
        return None
    digits = match[0].replace(b" ", b"").replace(b"-", b"")
    is_issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS)
    return Found("payment_card", 0, match.end()) if is_issued and _passes_luhn(digits) else None


def _passes_luhn(digits: bytes) -> bool:
    """Whether the last digit fits (ISO/IEC 7812-1, annex B)."""
    values = [byte - 0x30 for byte in reversed(digits)]
    return (sum(values[::2]) + sum(sum(divmod(2 * value, 10)) for value in values[1::2])) % 10 == 0


def find_iban(before: bytes, after: bytes) -> Found | None:
    """An international bank account number, in one piece or in groups of four."""
    length = _ACCOUNT_LENGTHS.get(after[:2], 0)
    if not length:
        return None
    compact = after[:length]
    width = length
    if after[4:5] == b" ":
        width = length + (length - 1) // 4
        compact = after[:width].replace(b" ", b"")
        if b" ".join(compact[start : start + 4] for start in range(0, length, 4)) != after[:width]:
            return None
    if (
        len(compact) != length
        or not compact.isalnum()
        or compact.upper() != compact
        or after[width : width + 1].isalnum()
    ):
        return None
    turned = (compact[4:] + compact[:4]).decode()
    is_valid = int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
    return Found("iban", 0, width) if is_valid else None
