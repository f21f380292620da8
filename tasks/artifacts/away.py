"""Results whose files are partly in a shared store still: each is brought once something reads it."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from params.errors import DamagedError, StoreError
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.lock import locked
from tasks.artifacts.manifest import AWAY_NAME, FileRecord, Manifest
from tasks.artifacts.remote import RemoteStore

log = logging.getLogger(__name__)
FETCHED = ".fetched"
"""Ending of the folder in which files lie until they are whole."""
_LOCK = ".fetching"
_WORTH_A_LINE_MB = 1


@dataclass(frozen=True)
class AwayFiles:
    """The files of one result, here and in a shared store."""

    manifest: Manifest
    folder: Path
    store: RemoteStore

    def bring(self, files: Sequence[FileRecord]) -> bool:
        """Have these files here, whole; whether all of the result is here now. Raises DamagedError and StoreError."""
        if self._lacking(files):
            with locked(self.folder.with_suffix(_LOCK), on_wait=self._say_waiting):
                if lacking := self._lacking(files):
                    self._fetch(lacking)
        if self._lacking(self.manifest.files):
            return False
        (self.folder / AWAY_NAME).unlink(missing_ok=True)
        return True

    def _fetch(self, lacking: list[FileRecord]) -> None:
        megabytes = sum(file.size_bytes for file in lacking) / 1e6
        what = f"{len(lacking)} of {len(self.manifest.files)} files, {megabytes:,.1f} MB"
        level = logging.INFO if megabytes >= _WORTH_A_LINE_MB else logging.DEBUG
        log.log(level, "%s: fetches %s, from %s", self.manifest.stage, what, self.store.url)
        key, scratch = (self.manifest.stage, self.manifest.fingerprint), self.folder.with_suffix(FETCHED)
        try:
            self.store.fetch(key, lacking, folder=self.folder, scratch=scratch)
        except DamagedError:
            self.store.condemn(*key)
            (self.folder / AWAY_NAME).unlink(missing_ok=True)  # without it the result is incomplete, and made anew
            raise
        for left in scratch.iterdir():  # by a process that was killed
            left.unlink()
        scratch.rmdir()

    def _lacking(self, files: Sequence[FileRecord]) -> list[FileRecord]:
        return [file for file in files if not (self.folder / file.path).exists()]

    def _say_waiting(self, holder: str) -> None:
        log.info("%s: %s fetches the same files; waiting for it", self.manifest.stage, holder)


def mark_away(folder: Path, store: RemoteStore) -> None:
    """Note in a result's folder that its files are in a shared store, as far as they are not in the folder."""
    write_atomic(folder / AWAY_NAME, json.dumps({"url": store.url, "options": store.options}, indent=1))


def away_from(folder: Path, shared: RemoteStore | None) -> RemoteStore | None:
    """Where the files are that a result's folder lacks; None where it has them all."""
    path = folder / AWAY_NAME
    try:
        mark: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        url, options = str(mark["url"]), dict(mark["options"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: does not say where the files are ({error}); remove {folder} to remake") from None
    return shared if shared is not None and shared.url == url else RemoteStore(url, options)
