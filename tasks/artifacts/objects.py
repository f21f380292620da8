"""Files of a store behind a URL, each put whole or not at all, and asked for again while nobody answers."""

import errno
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from params.errors import StoreError
from tasks.artifacts.digest import digest_stream
from tasks.artifacts.space import full_disk
from tasks.files.connection import Setting, client_errors, connect, explained, is_refusal

Answer = TypeVar("Answer")

SETTING = Setting(error=StoreError, name="run.store", options="run.store_options")
_PARALLEL = 8
_FIRST_PAUSE_S = 0.5
_WHOLE_AT_ONCE = {"s3", "s3a", "gs", "gcs", "abfs", "az", "oci", "oss", "tos", "memory"}
"""Where a file is there whole or not at all; elsewhere it gets its name once it is written."""

_ASK_FOR_NONE = {"s3", "s3a"}
"""Where a file can be written on the condition that there is none (If-None-Match)."""


@dataclass(frozen=True)
class Objects:
    """Files below a URL, by their names relative to it."""

    url: str
    options: str
    """What fsspec's filesystem is made with, as a JSON object; never a secret."""
    patience_s: float
    """How long a store that does not answer is asked again."""

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError, and StoreError as all of them do."""
        data: bytes = self._asked(name, lambda filesystem, path: filesystem.cat_file(path))
        return data

    def digest(self, name: str) -> str:
        """SHA-256 of a file's bytes. Raises FileNotFoundError."""

        def read(filesystem: Any, path: str) -> str:
            with filesystem.open(path, "rb") as stream:
                return digest_stream(stream)

        return self._asked(name, read)

    def download(self, name: str, to: Path) -> None:
        """Write a file's bytes to a path. Raises FileNotFoundError."""

        def get(filesystem: Any, path: str) -> None:
            try:
                filesystem.get_file(path, str(to))
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise full_disk(to.parent) from None
                raise

        self._asked(name, get)

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a file."""
        self._written(name, lambda filesystem, path: filesystem.pipe_file(path, data))

    def put_new(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; whether it was written. Elsewhere than on S3 the last one stays."""
        if self.url.partition("://")[0] not in _ASK_FOR_NONE:
            self.put(name, data)
            return True

        def create(filesystem: Any, path: str) -> bool:
            try:
                filesystem.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                filesystem.pipe_file(path, data)  # a server that knows no condition
            return True

        return self._written(name, create)

    def upload(self, path: Path, name: str) -> None:
        """Write or replace a file with the contents of a local one."""
        self._written(name, lambda filesystem, target: filesystem.put_file(str(path), target))

    def remove(self, name: str) -> None:
        """Remove a file. Raises FileNotFoundError, where the store tells."""
        self._asked(name, lambda filesystem, path: filesystem.rm_file(path))

    def below(self, name: str) -> dict[str, Mapping[str, Any]]:
        """What the store tells of every file below a name, by the rest of its own."""

        def listed(filesystem: Any, path: str) -> dict[str, Mapping[str, Any]]:
            filesystem.invalidate_cache()
            root = path.rstrip("/") + "/"
            found: dict[str, Mapping[str, Any]] = filesystem.find(path, detail=True)
            return {key.removeprefix(root): info for key, info in found.items() if info["type"] == "file"}

        try:
            return self._asked(name, listed)
        except FileNotFoundError:
            return {}

    def _written(self, name: str, write: Callable[[Any, str], Answer]) -> Answer:
        def put(filesystem: Any, path: str) -> Answer:
            if self.url.partition("://")[0] in _WHOLE_AT_ONCE:
                return write(filesystem, path)
            temporary = f"{path}.{secrets.token_hex(4)}.tmp"
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            answer = write(filesystem, temporary)
            filesystem.mv(temporary, path)
            return answer

        try:
            return self._asked(name, put)
        except FileNotFoundError as error:
            raise StoreError(f"{self.url}: no such bucket or folder ({error}); make it, or check run.store") from None

    def _asked(self, name: str, ask: Callable[[Any, str], Answer]) -> Answer:
        """What the store answers."""
        filesystem, base = connect(self.url, self.options, SETTING)
        path = f"{base.rstrip('/')}/{name}" if name else base
        deadline, pause_s = time.monotonic() + self.patience_s, _FIRST_PAUSE_S
        with explained(self.url, SETTING, passing=(FileNotFoundError,)):
            while True:
                try:
                    return ask(filesystem, path)
                except FileNotFoundError:
                    raise
                except client_errors() as error:
                    if is_refusal(error) or time.monotonic() + pause_s > deadline:
                        raise
                    time.sleep(pause_s)
                    pause_s *= 2


def all_of(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Several calls at a time; the first error ends it."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(lambda call: call(), calls))
