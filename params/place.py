"""What may stand in a URL and in the options of a store: never a secret, for parameters are logged."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

_SECRETS = ("key", "secret", "token", "password", "passwd", "pwd", "credential", "connection_string", "sas")


def check_url(url: str, field: str) -> None:
    """Raise ValueError where a URL holds a password."""
    if "://" in url and ":" in url.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise ValueError(f"the URL of {field} holds a password, which would be logged; use the store's environment")


def is_web_folder(url: str) -> bool:
    """Whether a URL names a folder of a web server, whose page of links, if it shows any, is no list of files."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and (not parts.path or parts.path.endswith("/")) and not parts.query


def check_no_web_folder(url: str) -> None:
    """Raise ValueError where a URL names a folder of a web server."""
    if is_web_folder(url):
        raise ValueError(
            f"{url} is a folder of a web server, which cannot list its files; name each file as a source of its own "
            "(of a page that ends so: …/index.html), or fetch the folder first"
        )


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
