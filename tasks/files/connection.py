"""fsspec's filesystem behind a URL, and what its client raises in one clear error with its remedy."""

import errno
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from params.errors import GristmillError, SourceError

_EXTRAS = {"s3": "s3", "s3a": "s3"}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile in ~/.aws)",
    "gs": "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or log in with az login",
}
_PACKAGES = {"smbclient": "smbprotocol"}
"""Modules whose package bears another name."""
_ALIKE = {"s3a": "s3", "gcs": "gs", "az": "abfs"}


@dataclass(frozen=True)
class Setting:
    """The parameter that a URL comes from: who is to blame for what, and where it is mended."""

    error: type[GristmillError]
    name: str
    """Where the URL stands."""
    options: str
    """Where the options of its filesystem stand."""
    public: str = ""
    """What else may help where access is denied, for S3."""


SOURCE = Setting(
    error=SourceError,
    name="the path of this source in survey.sources",
    options="survey.sources storage_options",
    public=", or survey.sources storage_options {anon: true} for a public bucket",
)


@lru_cache(maxsize=64)
def connect(url: str, options: str, setting: Setting = SOURCE) -> tuple[Any, str]:
    """fsspec's filesystem for a URL, one for all threads, and the URL's path in it; `options` is a JSON object."""
    from fsspec.core import url_to_fs

    try:
        with explained(url, setting):
            filesystem, path = url_to_fs(url, **json.loads(options))
    except ImportError as error:
        protocol = url.partition("://")[0]
        said = f"{url}: {protocol}:// needs a package that is not installed; pip install {_package(protocol, error)}"
        raise setting.error(said) from None
    except (ValueError, TypeError) as error:
        if isinstance(error, GristmillError):
            raise
        raise setting.error(f"{url}: {error}; check the URL and {setting.options}") from None
    return filesystem, path


@contextmanager
def explained(url: str, setting: Setting = SOURCE, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what a store's client raises into one error of the setting with its remedy."""
    try:
        yield
    except passing:
        raise
    except client_errors() as error:
        raise setting.error(_what_happened(url, error, setting)) from None


def client_errors() -> tuple[type[Exception], ...]:
    """What clients raise; their modules are there once they have been used."""
    errors: list[type[Exception]] = [OSError]
    if exceptions := sys.modules.get("botocore.exceptions"):
        errors += [exceptions.BotoCoreError, exceptions.ClientError]
    if aiohttp := sys.modules.get("aiohttp"):
        errors += [aiohttp.ClientError]
    if gcsfs := sys.modules.get("gcsfs.retry"):
        errors += [gcsfs.HttpError]
    if google := sys.modules.get("google.auth.exceptions"):
        errors += [google.GoogleAuthError]
    return tuple(errors)


def is_refusal(error: Exception) -> bool:
    """Whether a store said who one is does not do: trying again will not help."""
    return isinstance(error, PermissionError) or "Credential" in type(error).__name__


def _package(protocol: str, error: ImportError) -> str:
    """What to install for a protocol: our extra, the module that fsspec looks for, or the one that this one lacks."""
    from fsspec.registry import known_implementations

    if protocol in _EXTRAS:
        return f"'gristmill[{_EXTRAS[protocol]}]'"
    module: str = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
    cause = error.__cause__ or error.__context__
    lacking = next((e.name for e in (error, cause) if isinstance(e, ImportError) and e.name), None)
    if module not in ("", "fsspec") and importlib.util.find_spec(module) is None:
        return module.replace("_", "-")
    top: str = (lacking or protocol).partition(".")[0]
    return _PACKAGES.get(top, top)


def _what_happened(url: str, error: Exception, setting: Setting) -> str:
    protocol = url.partition("://")[0]
    detail = " ".join(str(error).split()) or type(error).__name__
    if (
        setting is SOURCE and isinstance(error, OSError) and error.errno == errno.EBUSY
    ):  # s3fs asks for the very ETag that was listed
        return f"{url} changed after it was listed; run the same command again, and it is read anew"
    if isinstance(error, FileNotFoundError):
        what = "file, or no answer" if protocol.startswith("http") else "bucket, folder or file"
        return f"{url}: no such {what}; check {setting.name}"
    if is_refusal(error):
        kind = _ALIKE.get(protocol, protocol)
        remedy = _CREDENTIALS.get(kind, "set the credentials of this store as fsspec documents for its protocol")
        return f"{url}: access denied ({detail}); {remedy}{setting.public if kind == 's3' else ''}"
    return f"{url}: the store cannot be reached or failed ({detail}); check the network and endpoint_url, and try again"
