"""Secrets kept out of logs, errors and messages."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY_SECRET = re.compile(r"(?i)([?&](?:access_)?(?:token|key|sign|secret|password|signature)=)[^&\s'\"]+")
MASK = "***"
_MIN_SECRET = 8
"""Shorter pieces of an address are words such as hook or send."""


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, without user and password of URLs, and without their tokens."""
    spellings = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), unquote(secret))}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return _QUERY_SECRET.sub(rf"\g<1>{MASK}", _CREDENTIALS.sub(f"{MASK}@", text))


def secrets_of_url(url: str) -> tuple[str, ...]:
    """What must not be told of an address whose path or query lets anyone in who knows it."""
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.password or ""]
    whole = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return tuple(secret for secret in (url, whole, *pieces) if len(secret) >= _MIN_SECRET)
