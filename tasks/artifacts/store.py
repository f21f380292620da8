"""The store: sealed results in `store/<stage>/<fingerprint>/`, drafts beside them, nothing in between."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pydantic import ValidationError

from params.errors import StoreError
from tasks.artifacts.away import FETCHED, AwayFiles, away_from, mark_away
from tasks.artifacts.digest import commit, digest_file, sync, write_atomic
from tasks.artifacts.lock import is_locked, lock_if_free, lock_shared, locked
from tasks.artifacts.manifest import (
    MANIFEST_NAME,
    FileRecord,
    Manifest,
    Metrics,
    Recipe,
    Timing,
    digest_files,
)
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.unfinished import ARRIVING, SNAPSHOT

_DRAFT_NAME = "draft.json"


@dataclass(frozen=True)
class Damage:
    """A stored file that is not what its seal says."""

    path: Path
    problem: str


class Store:
    """Results on a local disk, found by the fingerprint of their recipe; a run may share them with other homes."""

    def __init__(self, root: Path, shared: Sharing | None = None) -> None:
        self.root = root
        self.shared = shared
        self._held: list[tuple[Path, int]] = []

    def folder(self, stage: str, fingerprint: str) -> Path:
        """Where a sealed result lies or would lie."""
        return self.root / stage / fingerprint

    def find(self, stage: str, fingerprint: str) -> Manifest | None:
        """The sealed result of a recipe, or None."""
        folder = self.folder(stage, fingerprint)
        try:
            text = (folder / MANIFEST_NAME).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            manifest = Manifest.model_validate_json(text).located(folder)
        except ValidationError as error:
            raise StoreError(f"{folder / MANIFEST_NAME}: not a manifest ({error}); remove {folder} to remake") from None
        source = away_from(folder, self.shared.store if self.shared else None)
        return manifest if source is None else manifest.located(folder, AwayFiles(manifest, folder, source))

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether every file is there with its size, or in a shared store; `verify` also reads them."""
        away = manifest.is_away
        return all(_has_size(manifest.place / f.path, f.size_bytes, may_lack=away) for f in manifest.files)

    def look_elsewhere(self, recipe: Recipe) -> Manifest | None:
        """What the shared store, if there is one, says of a result; its files are not here."""
        return None if self.shared is None else self.shared.find(recipe)

    def adopt(self, recipe: Recipe) -> Manifest | None:
        """Take a result over that the shared store has, if any: its manifest now, its files once they are read.

        The caller holds its lock, and there is no result of this recipe here.
        """
        if self.shared is None or (found := self.look_elsewhere(recipe)) is None:
            return None
        folder = self.folder(recipe.stage, recipe.fingerprint)
        arriving = folder.with_suffix(ARRIVING)
        with self._writable():
            shutil.rmtree(arriving, ignore_errors=True)
            arriving.mkdir(parents=True)
            mark_away(arriving, self.shared.store)
            write_atomic(arriving / MANIFEST_NAME, found.model_dump_json(indent=1))
            commit(arriving, folder)
        return self.find(recipe.stage, recipe.fingerprint)

    def results(self) -> Iterator[Manifest]:
        """Every sealed result, by stage and fingerprint."""
        for path in sorted(self.root.glob(f"*/*/{MANIFEST_NAME}")):
            if not path.parent.suffix and (found := self.find(path.parts[-3], path.parts[-2])):
                yield found

    @contextmanager
    def lock(self, recipe: Recipe, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
        """Be the only one who makes this result; whoever waited finds it sealed, or takes over."""
        with self._writable(), locked(self.folder(recipe.stage, recipe.fingerprint).with_suffix(".lock"), on_wait):
            yield

    def hold(self, manifest: Manifest) -> bool:
        """Keep others from removing a result until release() or the end of the process; False if it is gone already."""
        with self._writable():
            handle = lock_shared(manifest.place.with_suffix(".lock"))
        if (manifest.place / MANIFEST_NAME).exists():
            self._held.append((manifest.place, handle))
            return True
        os.close(handle)
        return False

    def release(self, folder: Path | None = None) -> None:
        """Let go of every result held, or of one."""
        for held in [held for held in self._held if folder in (None, held[0])]:
            self._held.remove(held)
            os.close(held[1])

    def discard(self, recipe: Recipe) -> bool:
        """Remove what lies where the result of a recipe goes, its lock held by the caller; whether there was any."""
        folder = self.folder(recipe.stage, recipe.fingerprint)
        with self._writable():
            return folder.exists() and _remove(folder) >= 0

    def draft(self, recipe: Recipe, made_by: dict[str, str]) -> Path:
        """The folder to make a result in; what an interrupted attempt of the same code left is still there."""
        folder = self.folder(recipe.stage, recipe.fingerprint).with_suffix(".partial")
        mark = json.dumps({"recipe": recipe.model_dump(mode="json"), "made_by": made_by}, sort_keys=True, indent=1)
        with self._writable():
            if folder.exists() and _read(folder / _DRAFT_NAME) != mark:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / _DRAFT_NAME, mark)
        return folder

    def seal(
        self,
        recipe: Recipe,
        draft: Path,
        metrics: Metrics,
        *,
        timing: Timing,
        made_by: dict[str, str],
        volatile: tuple[str, ...] = (),
    ) -> Manifest:
        """Hash and fsync a draft's files, write its manifest last, and give it its final name."""
        check_counts(recipe.stage, metrics)
        with self._writable():
            (draft / _DRAFT_NAME).unlink(missing_ok=True)
            files = _records(draft, volatile)
            manifest = Manifest(
                stage=recipe.stage,
                version=recipe.version,
                fingerprint=recipe.fingerprint,
                digest=digest_files(files),
                params=recipe.params,
                inputs=recipe.inputs,
                files=files,
                metrics=metrics,
                timing=timing,
                made_by=made_by,
            )
            for folder, _, _ in os.walk(draft):
                sync(Path(folder))
            write_atomic(draft / MANIFEST_NAME, manifest.model_dump_json(indent=1))
            commit(draft, self.folder(recipe.stage, recipe.fingerprint))
        return manifest.located(self.folder(recipe.stage, recipe.fingerprint))

    def verify(self, manifest: Manifest) -> list[Damage]:
        """Re-hash a result's files against its seal, as far as they are here."""
        place, here = manifest.place, self.files_here(manifest)
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda record: _damage(place / record.path, record), here)
        damages = [damage for damage in found if damage is not None]
        if digest_files(manifest.files) != manifest.digest:
            damages.append(Damage(place / MANIFEST_NAME, "its file list does not match its digest"))
        return damages

    def files_here(self, manifest: Manifest) -> list[FileRecord]:
        """The files of a result without those that are only in a shared store."""
        return [f for f in manifest.files if not manifest.is_away or (manifest.place / f.path).exists()]

    def drafts(self) -> list[Path]:
        """Drafts that no living process works on."""
        found = sorted(self.root.glob("*/*.partial"))
        return [path for path in found if not is_locked(path.with_suffix(".lock"))]

    def remove(self, path: Path) -> int:
        """Remove a result or a draft, once nobody uses it; the bytes freed."""
        with self._writable(), locked(path.with_suffix(".lock")):
            return _remove(path)

    def remove_unused(self, path: Path) -> int | None:
        """Remove a result or a draft; the bytes freed, or None where a run uses it now."""
        with self._writable(), lock_if_free(path.with_suffix(".lock")) as free:
            return _remove(path) if free else None

    def removed(self) -> list[Path]:
        """What an interrupted removal or fetch left."""
        endings = (".removed", ARRIVING, FETCHED, SNAPSHOT)
        return sorted(path for ending in endings for path in self.root.glob(f"*/*{ending}"))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise StoreError.no_permission(error.filename or self.root) from None


def check_counts(stage: str, metrics: Metrics) -> None:
    """Assert that every document that came in was kept or rejected."""
    counts = metrics.counts
    if "docs_in" in counts:
        out = counts["docs_kept"] + counts["docs_rejected"]
        assert counts["docs_in"] == out, f"{stage}: {counts['docs_in']} documents came in, {out} went out"


def size_of(path: Path) -> int:
    """Bytes of a folder's files."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _remove(path: Path) -> int:
    """The name goes first, so that no half result stays."""
    size = size_of(path)
    doomed = path.with_suffix(".removed")
    if path != doomed:
        if doomed.exists():
            shutil.rmtree(doomed)
        path.replace(doomed)
    shutil.rmtree(doomed)
    return size


def _records(draft: Path, volatile: tuple[str, ...]) -> tuple[FileRecord, ...]:
    paths = sorted(path for path in draft.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(lambda path: _record(path, path.relative_to(draft).as_posix(), volatile), paths))


def _record(path: Path, name: str, volatile: tuple[str, ...]) -> FileRecord:
    sync(path)
    return FileRecord(
        path=name,
        size_bytes=path.stat().st_size,
        sha256=digest_file(path),
        volatile=any(fnmatch(name, pattern) for pattern in volatile),
    )


def _damage(path: Path, record: FileRecord) -> Damage | None:
    try:
        size = path.stat().st_size
        if size != record.size_bytes:
            return Damage(path, f"has {size} bytes instead of {record.size_bytes}")
        if digest_file(path) != record.sha256:
            return Damage(path, "its SHA-256 differs from the seal")
    except FileNotFoundError:
        return Damage(path, "is missing")
    return None


def _has_size(path: Path, size_bytes: int, *, may_lack: bool) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return may_lack


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
