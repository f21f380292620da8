"""API keys: where they are read from, and whether a request has one."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from params.errors import ParameterError

VARIABLE = "GRISTMILL_API_KEYS"
MIN_LENGTH = 16


class ApiKeys:
    """Keys as digests, so that a comparison takes the same time whatever is compared."""

    def __init__(self, keys: list[str]) -> None:
        self.digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self.digests)

    def __contains__(self, key: str) -> bool:
        """Every digest is compared, so that the time does not tell which key is nearly right."""
        given = _digest(key)
        return sum([hmac.compare_digest(given, known) for known in self.digests]) > 0


def read_keys(path: Path | None, environ: Mapping[str, str] = os.environ) -> ApiKeys:
    """The keys of a file (one a line, # for remarks) and of GRISTMILL_API_KEYS (with commas between them).

    Raises ParameterError for a file that cannot be read or a key that could be guessed; it never shows a key.
    """
    lines = _lines(path) if path is not None else []
    found = [*lines, *environ.get(VARIABLE, "").split(",")]
    keys = [key.strip() for key in found if key.strip() and not key.strip().startswith("#")]
    if path is not None and not keys:
        raise ParameterError(f"{path}: no API key in it; write one a line")
    for number, key in enumerate(keys, start=1):
        if len(key) < MIN_LENGTH or not (key.isascii() and key.isprintable()) or " " in key:
            raise ParameterError(
                f"API key {number} has {len(key)} characters; it takes {MIN_LENGTH} or more, printable and without "
                "spaces, for example from: openssl rand -hex 24"
            )
    return ApiKeys(keys)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ParameterError(f"{path}: the API keys cannot be read: {reason}") from None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
