"""Files behind a URL (S3, Google Cloud Storage, memory, HTTP …), through fsspec."""

import errno
import json
import posixpath
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from params.errors import SourceError

_OF_THE_FILE = (FileNotFoundError, PermissionError)
_BLOCK_BYTES = 8 << 20
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_REMEDY = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile in ~/.aws), "
    "or survey.sources storage_options {anon: true} for a public bucket",
}


@dataclass(frozen=True)
class RemoteRoot:
    """A folder or a file behind a URL."""

    url: str
    options: str = "{}"
    """What fsspec's filesystem is made with, as a JSON object; never a secret."""

    @classmethod
    def of(cls, url: str, storage_options: Mapping[str, Any]) -> "RemoteRoot":
        """The root at a URL."""
        return cls(url.rstrip("/"), json.dumps(dict(storage_options), sort_keys=True))

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class RemoteEntry:
    """A file that a listing names."""

    path: str
    """Relative to the root."""
    size_bytes: int | None
    mark: str | None
    """Changes whenever the contents do (a strong ETag); None where the store gives none."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a root; `path` is empty when the root itself is the file."""

    root: RemoteRoot
    path: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(str(self))

    def __str__(self) -> str:
        return f"{self.root.url}/{self.path}" if self.path else self.root.url

    def open(self) -> "RemoteStream":
        """Open for reading; FileNotFoundError or PermissionError is about this file, SourceError about the store."""
        filesystem, root = _connect(self.root)
        with _explained(str(self), passing=_OF_THE_FILE):
            file = filesystem.open(f"{root}/{self.path}" if self.path else root, "rb", block_size=_BLOCK_BYTES)
        return RemoteStream(str(self), file)


class RemoteStream:
    """An open file of a store, read from the beginning to the end."""

    def __init__(self, url: str, file: Any) -> None:
        self._url = url
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; FileNotFoundError when the file is gone, SourceError when the store fails or vanishes."""
        with _explained(self._url, passing=_OF_THE_FILE):
            data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def list_remote(root: RemoteRoot) -> list[RemoteEntry]:
    """Every file below a root, or the root itself with an empty path when it is a file; SourceError says why not."""
    filesystem, base = _connect(root)
    with _explained(root.url):
        filesystem.invalidate_cache()
        try:
            info = filesystem.info(base)
        except TypeError as error:  # its client is made now
            raise SourceError(f"{root.url}: {error}; check survey.sources storage_options") from None
        if info["type"] == "file":
            return [_entry("", info)]
        found = filesystem.find(base, detail=True)
    prefix = base.rstrip("/") + "/"
    return [
        _entry(key.removeprefix(prefix), info)
        for key, info in found.items()
        if info["type"] == "file" and not key.endswith("/")
    ]


@lru_cache(maxsize=4096)
def is_file(root: RemoteRoot) -> bool:
    """Whether a root is a file rather than a folder."""
    filesystem, base = _connect(root)
    with _explained(root.url):
        kind: str = filesystem.info(base)["type"]
    return kind == "file"


def _entry(path: str, info: Mapping[str, Any]) -> RemoteEntry:
    mark = info.get("ETag") or info.get("etag")
    is_strong = isinstance(mark, str) and not mark.startswith("W/")
    return RemoteEntry(path, info.get("size"), mark if is_strong else None)


def _connect(root: RemoteRoot) -> tuple[Any, str]:
    return _filesystem(root.url, root.options)


@lru_cache(maxsize=64)
def _filesystem(url: str, options: str) -> tuple[Any, str]:
    """fsspec's filesystem for a URL, one for all threads, and the URL's path in it."""
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        with _explained(url):
            filesystem, path = url_to_fs(url, **json.loads(options))
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'gristmill[{extra}]'" if extra else str(error)
        raise SourceError(f"{url}: {protocol}:// needs a package that is not installed; {remedy}") from None
    except (ValueError, TypeError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{url}: {error}; check the URL and survey.sources storage_options") from None
    return filesystem, path


@contextmanager
def _explained(url: str, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what a store's client raises into one SourceError with its remedy."""
    try:
        yield
    except passing:
        raise
    except _client_errors() as error:
        raise SourceError(_what_happened(url, error)) from None


def _client_errors() -> tuple[type[Exception], ...]:
    """What clients raise; their modules are there once they have been used."""
    errors: list[type[Exception]] = [OSError]
    if exceptions := sys.modules.get("botocore.exceptions"):
        errors += [exceptions.BotoCoreError, exceptions.ClientError]
    if aiohttp := sys.modules.get("aiohttp"):
        errors += [aiohttp.ClientError]
    return tuple(errors)


def _what_happened(url: str, error: Exception) -> str:
    protocol = url.partition("://")[0]
    detail = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno == errno.EBUSY:  # s3fs asks for the very ETag that was listed
        return f"{url} changed after it was listed; run the same command again, and it is read anew"
    if isinstance(error, FileNotFoundError):
        what = "file, or no answer" if protocol.startswith("http") else "bucket, folder or file"
        return f"{url}: no such {what}; check the path of this source in survey.sources"
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        remedy = _REMEDY.get(protocol, "set the credentials of this store as fsspec documents for its protocol")
        return f"{url}: access denied ({detail}); {remedy}"
    return f"{url}: the store cannot be reached or failed ({detail}); check the network and endpoint_url, and try again"
