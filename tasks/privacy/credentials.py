"""Keys and tokens that let someone in."""

import base64
import binascii
import json
import re

from tasks.privacy.places import Found

_AWS_ID = re.compile(rb"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(
    rb"(?i:secret_?access_?key)(?:[\s\"'=:>,`]|&quot;){1,12}(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
"""The AWS command line's own spelling, as in aws_secret_access_key = … or "SecretAccessKey": "…"."""
_GITHUB = re.compile(rb"(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9_])")
_BLOCK = re.compile(
    rb"-----BEGIN (?P<name>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----(?P<body>(?:[^-]|-(?!----)){64,16000})"
    rb"(?:-----END (?P=name)-----)?"
)
_BASE64_LINES = re.compile(rb"\s*[A-Za-z0-9+/=\\]{24,}(?:\s+[A-Za-z0-9+/=\\]{24,})*")
_TOKEN = re.compile(rb"(eyJ[A-Za-z0-9_-]{8,1000})\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+){0,2}")


def find_secret(before: bytes, after: bytes) -> Found | None:
    """A key of AWS or GitHub, a block of a private key, or a JSON web token."""
    found = {b"A": _AWS_ID, b"g": _GITHUB}.get(after[:1])
    if found is not None:
        match = found.match(after)
        return Found("secret", 0, match.end()) if match else None
    if after.startswith(b"-----BEGIN "):
        return _private_key(after)
    return _web_token(before, after) if after.startswith(b"eyJ") else _aws_secret(after)


def _aws_secret(after: bytes) -> Found | None:
    match = _AWS_SECRET.match(after)
    return Found("secret", match.start("key"), match.end()) if match else None


def _private_key(after: bytes) -> Found | None:
    """The block with both its lines; where the last one is missing, as far as base64 goes."""
    match = _BLOCK.match(after)
    if match is None or not _BASE64_LINES.search(match["body"]):
        return None
    if match[0].endswith(b"-----"):
        return Found("secret", 0, match.end())
    lines = _BASE64_LINES.match(after, match.start("body"))
    return Found("secret", 0, len(after[: lines.end()].rstrip())) if lines else None


def _web_token(before: bytes, after: bytes) -> Found | None:
    """Three or five parts (RFC 7519, RFC 7516), the first of which is JSON that names an algorithm."""
    match = _TOKEN.match(after)
    if match is None or before[-1:] in (b"-", b".", b"/", b"+"):
        return None
    try:
        header = json.loads(base64.urlsafe_b64decode(match[1] + b"=" * (-len(match[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return Found("secret", 0, match.end()) if isinstance(header, dict) and "alg" in header else None
