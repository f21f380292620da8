"""A store behind a URL (S3, another object store, a shared folder): results that several homes have in common.

`<url>/<stage>/<fingerprint>/<SHA-256>` are the files of a result, named by what they hold, so that nobody can write one
over another's; `manifest.json` beside them is put last and makes the result exist.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from params.errors import DamagedError, StoreError
from tasks.artifacts.digest import commit, digest_file
from tasks.artifacts.manifest import AWAY_NAME, MANIFEST_NAME, FileRecord, Manifest, Recipe, digest_files
from tasks.artifacts.objects import Objects, all_of
from tasks.artifacts.unfinished import FOLDER as UNFINISHED
from tasks.artifacts.unfinished import UnfinishedWork

log = logging.getLogger(__name__)
Key = tuple[str, str]
"""Stage and fingerprint."""

_OWN_NAMES = {".", MANIFEST_NAME, AWAY_NAME}
MARK = "gristmill-store.json"
_RUNS = "runs"
_TIMES = ("LastModified", "mtime", "created", "updated")
"""How file systems call the time at which a file was written, the surest first."""
PATIENCE_S = 30.0
"""Longer than a server takes to start anew."""


@dataclass(frozen=True)
class Stored:
    """A result, or the work on one, that a store lists."""

    stage: str
    fingerprint: str
    size_bytes: int
    written_at: datetime | None
    """The last of its files; None where the store does not tell."""
    is_whole: bool
    """Whether its manifest is there: without one it is being written, or its writer was killed."""


@dataclass(frozen=True)
class Contents:
    """What a store lists, each by stage and fingerprint."""

    results: list[Stored]
    """Also those without a manifest."""
    unfinished: list[Stored]
    """Work under way, or left."""


class RemoteStore:
    """Results behind a URL."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, *, patience_s: float = PATIENCE_S) -> None:
        self.url = url.rstrip("/")
        self.options = dict(options or {})
        self._objects = Objects(self.url, json.dumps(self.options, sort_keys=True), patience_s)
        self._condemned: set[Key] = set()
        """Results that were found damaged: they do not count, and are written anew."""

    def check(self) -> None:
        """Raise StoreError unless results can be written and read there."""
        self._objects.put(MARK, b'{"format": 1}\n')
        self._objects.read(MARK)

    def find(self, stage: str, fingerprint: str) -> Manifest | None:
        """The manifest of a result that is there; None also where it is not what it should be, which is said."""
        if (stage, fingerprint) in self._condemned:
            return None
        try:
            text = self._objects.read(f"{stage}/{fingerprint}/{MANIFEST_NAME}")
        except FileNotFoundError:
            return None
        try:
            manifest = Manifest.model_validate_json(text)
            problem = _problem_of(manifest, (stage, fingerprint))
        except ValidationError:
            problem = "it is no manifest"
        if problem is None:
            return manifest
        self.condemn(stage, fingerprint)
        log.warning("%s: %s; it is written anew", self._place(stage, fingerprint, MANIFEST_NAME), problem)
        return None

    def push(self, manifest: Manifest) -> bool:
        """Write a result unless it is there: its files, then its manifest; whether that was needed.

        Of two homes that write the same one at once the first stays, where the store can tell.
        """
        key = (manifest.stage, manifest.fingerprint)
        if self.find(*key) is not None:
            return False
        prefix, folder = "/".join(key), manifest.folder
        here = {} if key in self._condemned else {n: info["size"] for n, info in self._objects.below(prefix).items()}
        lacking = {file.sha256: file for file in manifest.files if here.get(file.sha256) != file.size_bytes}
        all_of([partial(self._objects.upload, folder / f.path, f"{prefix}/{sha}") for sha, f in lacking.items()])
        name, text = f"{prefix}/{MANIFEST_NAME}", manifest.model_dump_json(indent=1).encode()
        if key not in self._condemned:
            return self._objects.put_new(name, text)
        self._objects.put(name, text)
        self._condemned.discard(key)
        return True

    def fetch(self, key: Key, files: Sequence[FileRecord], *, folder: Path, scratch: Path) -> None:
        """Bring files into a folder, each under its name once it is whole. Raises DamagedError."""
        scratch.mkdir(exist_ok=True)
        all_of([partial(self._bring, key, file, folder=folder, scratch=scratch) for file in files])

    def condemn(self, stage: str, fingerprint: str) -> None:
        """A damaged result: nobody else shall find it."""
        self._condemned.add((stage, fingerprint))
        with suppress(StoreError, FileNotFoundError):
            self._objects.remove(f"{stage}/{fingerprint}/{MANIFEST_NAME}")

    def verify(self, manifest: Manifest) -> list[str]:
        """Read every file of a result that is there; what is wrong, one line for each damaged file."""
        found = all_of([partial(self._check, (manifest.stage, manifest.fingerprint), file) for file in manifest.files])
        return [problem for problem in found if problem is not None]

    def unfinished(self, stage: str, fingerprint: str) -> UnfinishedWork:
        """What a home that makes this result has put here so far, for others to go on with."""
        return UnfinishedWork(self._objects, stage, fingerprint)

    def listing(self) -> list[Stored]:
        """Every result, also those without a manifest."""
        return self.contents().results

    def contents(self) -> Contents:
        """Every result and all work under way, from one listing: a large store takes thousands of requests for it."""
        folders: dict[tuple[str, ...], list[tuple[str, Mapping[str, Any]]]] = {}
        for name, info in self._objects.below("").items():
            *at, file = name.split("/")
            folders.setdefault(tuple(at), []).append((file, info))
        places = [(at, folders[at]) for at in sorted(folders)]
        return Contents(
            results=[_stored((at[0], at[1]), files) for at, files in places if len(at) == 2],
            unfinished=[_stored((at[1], at[2]), files) for at, files in places if len(at) == 3 and at[0] == UNFINISHED],
        )

    def remove(self, stage: str, fingerprint: str) -> None:
        """Remove a result, the manifest first."""
        prefix = f"{stage}/{fingerprint}"
        with suppress(FileNotFoundError):
            self._objects.remove(f"{prefix}/{MANIFEST_NAME}")
        all_of([partial(self._objects.remove, f"{prefix}/{name}") for name in self._objects.below(prefix)])

    def put_record(self, run_id: str, text: str) -> None:
        """Write the record of a run: what it names stays."""
        self._objects.put(f"{_RUNS}/{run_id}.json", text.encode())

    def records(self) -> list[bytes]:
        """The records of all runs, of any home, oldest first."""
        return all_of([partial(self._objects.read, f"{_RUNS}/{name}") for name in sorted(self._objects.below(_RUNS))])

    def remove_record(self, run_id: str) -> None:
        """Forget a run."""
        self._objects.remove(f"{_RUNS}/{run_id}.json")

    def _place(self, *parts: str) -> str:
        return "/".join((self.url, *parts))

    def _bring(self, key: Key, file: FileRecord, *, folder: Path, scratch: Path) -> None:
        """Have a file here; a second try where its digest is wrong, for it may have been damaged on the way."""
        temporary, target = scratch / f"{file.sha256}-{secrets.token_hex(4)}", folder / file.path
        problem = f"its SHA-256 differs from the seal of {file.path}"
        for _ in range(2):
            try:
                self._objects.download(f"{'/'.join(key)}/{file.sha256}", temporary)
            except FileNotFoundError:
                problem = f"is missing ({file.path})"
                break
            if digest_file(temporary) == file.sha256:
                target.parent.mkdir(parents=True, exist_ok=True)
                commit(temporary, target)
                return
        temporary.unlink(missing_ok=True)
        raise DamagedError(f"{self._place(*key, file.sha256)}: {problem}", stage=key[0], fingerprint=key[1])

    def _check(self, key: Key, file: FileRecord) -> str | None:
        place = self._place(*key, file.sha256)
        try:
            found = self._objects.digest(f"{'/'.join(key)}/{file.sha256}")
        except FileNotFoundError:
            return f"{place}: is missing ({file.path})"
        return None if found == file.sha256 else f"{place}: its SHA-256 differs from the seal of {file.path}"


def _problem_of(manifest: Manifest, key: Key) -> str | None:
    """What is wrong with a manifest that came from elsewhere; a path that leaves the folder is."""
    recipe = Recipe(stage=manifest.stage, version=manifest.version, params=manifest.params, inputs=manifest.inputs)
    if (manifest.stage, recipe.fingerprint, manifest.fingerprint) != (*key, key[1]):
        return "it is the manifest of another recipe"
    if digest_files(manifest.files) != manifest.digest:
        return "its file list does not match its digest"
    paths = [PurePosixPath(file.path) for file in manifest.files]
    wrong = [path for path in paths if path.is_absolute() or ".." in path.parts or str(path) in _OWN_NAMES]
    return f"it names the file {wrong[0]}" if wrong else None


def _stored(key: Key, files: Sequence[tuple[str, Mapping[str, Any]]]) -> Stored:
    written = [at for _, info in files if (at := _time_of(info)) is not None]
    return Stored(
        *key,
        size_bytes=sum(info["size"] or 0 for _, info in files),
        written_at=max(written, default=None),
        is_whole=any(name == MANIFEST_NAME for name, _ in files),
    )


def _time_of(info: Mapping[str, Any]) -> datetime | None:
    at = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, str):
        return datetime.fromisoformat(at)
    return at if isinstance(at, datetime) else None
