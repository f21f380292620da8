"""Files behind a URL (S3, Google Cloud Storage, memory, HTTP …), through fsspec."""

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from params.errors import SourceError
from params.place import is_web_folder
from tasks.files.connection import connect, explained

_OF_THE_FILE = (FileNotFoundError, PermissionError)
_BLOCK_BYTES = 8 << 20


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
        with explained(str(self), passing=_OF_THE_FILE):
            file = filesystem.open(f"{root}/{self.path}" if self.path else root, "rb", block_size=_BLOCK_BYTES)
        return RemoteStream(str(self), file)


class RemoteStream:
    """An open file of a store, read from the beginning to the end."""

    def __init__(self, url: str, file: Any) -> None:
        self._url = url
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; FileNotFoundError when the file is gone, SourceError when the store fails or vanishes."""
        with explained(self._url, passing=_OF_THE_FILE):
            data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def list_remote(root: RemoteRoot) -> list[RemoteEntry]:
    """Every file below a root, or the root itself with an empty path when it is a file; SourceError says why not."""
    filesystem, base = _connect(root)
    with explained(root.url):
        filesystem.invalidate_cache()
        try:
            info = filesystem.info(base)
        except TypeError as error:  # its client is made now
            raise SourceError(f"{root.url}: {error}; check survey.sources storage_options") from None
        if is_web_folder(info.get("url", "")):
            raise SourceError(
                f"{root.url}: leads to {info['url']}, a folder of a web server, which cannot list its files; "
                "name each file as a source of its own in survey.sources, or fetch the folder first"
            )
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
    with explained(root.url):
        kind: str = filesystem.info(base)["type"]
    return kind == "file"


def _entry(path: str, info: Mapping[str, Any]) -> RemoteEntry:
    mark = info.get("ETag") or info.get("etag")
    is_strong = isinstance(mark, str) and not mark.startswith("W/")
    return RemoteEntry(path, info.get("size"), mark if is_strong else None)


def _connect(root: RemoteRoot) -> tuple[Any, str]:
    return connect(root.url, root.options)
