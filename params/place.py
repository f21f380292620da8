"""What may stand in a URL and in the options of a store: never a secret, for parameters are logged."""

from collections.abc import Iterator
from typing import Any

_SECRETS = ("key", "secret", "token", "password", "passwd", "pwd", "credential", "connection_string", "sas")


def check_url(url: str, field: str) -> None:
    """Raise ValueError where a URL holds a password."""
    if "://" in url and ":" in url.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise ValueError(f"the URL of {field} holds a password, which would be logged; use the store's environment")


def check_options(options: dict[str, Any]) -> None:
    """Raise ValueError where an option of a store looks like a secret."""
    if name := next(_secret_names(options), None):
        raise ValueError(
            f"{name} looks like a secret, which would be logged; set it in the environment (AWS_SECRET_ACCESS_KEY, "
            "FSSPEC_S3_SECRET …), in ~/.aws or in ~/.config/fsspec"
        )


def _secret_names(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if any(part in name.lower() for part in _SECRETS) and value not in (None, False, "anon"):
            yield name
        elif isinstance(value, dict):
            yield from _secret_names(value)
