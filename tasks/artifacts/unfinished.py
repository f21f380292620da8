"""Work under way in a store that homes share, so that another home can go on with it where this one is lost.

`<url>/unfinished/<stage>/<fingerprint>/<SHA-256>` are its files, named by what they hold; `state.json`, put
last, says which of them belong together.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from params.errors import StoreError
from tasks.artifacts.digest import commit_in_draft, digest_file
from tasks.artifacts.manifest import FileRecord
from tasks.artifacts.objects import Objects, all_of

FOLDER = "unfinished"
STATE_NAME = "state.json"
ARRIVING, SNAPSHOT = ".arriving", ".mirror"
"""Endings of the folders beside a result in which files come, or lie still while they are put."""


class Unfinished(BaseModel):
    """How far a result has come, and the files to go on from."""

    model_config = ConfigDict(frozen=True)
    step: int
    made_by: dict[str, str]
    """Versions and platform, as those of a draft: others do not go on with it."""
    files: tuple[FileRecord, ...]


class UnfinishedWork:
    """The work under way of one result in a shared store."""

    def __init__(self, objects: Objects, stage: str, fingerprint: str) -> None:
        self._objects = objects
        self._prefix = f"{FOLDER}/{stage}/{fingerprint}"

    def find(self) -> Unfinished | None:
        """What was put last, None where there is nothing that can be read. Raises StoreError."""
        try:
            found = Unfinished.model_validate_json(self._objects.read(f"{self._prefix}/{STATE_NAME}"))
        except (FileNotFoundError, ValidationError):
            return None
        return found if all(_is_inside(file.path) for file in found.files) else None

    def put(self, folder: Path, *, step: int, made_by: dict[str, str]) -> bool:
        """Write the files of a folder that nobody changes; not where another home has come further.

        What was there before is removed once the new state is whole.
        """
        before = self.find()
        if before is not None and before.step > step:
            return False
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = tuple(_record(path, path.relative_to(folder).as_posix()) for path in paths)
        there = self._objects.below(self._prefix)
        lacking = {file.sha256: folder / file.path for file in files if _size(there, file) != file.size_bytes}
        all_of([partial(self._objects.upload, path, f"{self._prefix}/{sha}") for sha, path in lacking.items()])
        state = Unfinished(step=step, made_by=made_by, files=files)
        self._objects.put(f"{self._prefix}/{STATE_NAME}", state.model_dump_json(indent=1).encode())
        self._remove(there.keys() - {file.sha256 for file in files} - {STATE_NAME})
        return True

    def fetch(self, found: Unfinished, folder: Path) -> None:
        """Bring its files into a folder. Raises StoreError where one is gone or not what it should be."""
        all_of([partial(self._bring, file, folder) for file in found.files])

    def remove(self) -> None:
        """Forget it: the result is sealed."""
        self._remove(set(self._objects.below(self._prefix)) - {STATE_NAME}, first=STATE_NAME)

    def _bring(self, file: FileRecord, folder: Path) -> None:
        target = folder / file.path
        temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._objects.download(f"{self._prefix}/{file.sha256}", temporary)
        except FileNotFoundError:
            raise StoreError(f"{self._objects.url}/{self._prefix}: {file.path} is missing") from None
        if digest_file(temporary) != file.sha256:
            raise StoreError(f"{self._objects.url}/{self._prefix}: {file.path} is damaged, its SHA-256 differs")
        commit_in_draft(temporary, target)

    def _remove(self, names: set[str], *, first: str | None = None) -> None:
        if first is not None:
            self._drop(first)
        all_of([partial(self._drop, name) for name in names])

    def _drop(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._objects.remove(f"{self._prefix}/{name}")


def _record(path: Path, name: str) -> FileRecord:
    return FileRecord(path=name, size_bytes=path.stat().st_size, sha256=digest_file(path))


def _size(there: Mapping[str, Mapping[str, Any]], file: FileRecord) -> int | None:
    """Bytes of a file that is there already; None where it is not."""
    return there[file.sha256]["size"] if file.sha256 in there else None


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
