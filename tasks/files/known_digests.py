"""Digests of remote files that were downloaded before, so that what has not changed is not downloaded again."""

import json
import logging
from pathlib import Path
from threading import Lock

from tasks.files.remote import RemoteEntry

log = logging.getLogger(__name__)


class KnownDigests:
    """A file of JSON lines; a lost or torn one only costs downloads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._digests: dict[tuple[str, int | None, str], str] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    url, size_bytes, mark, sha256 = json.loads(line)
                except ValueError:  # torn by a crash
                    continue
                self._digests[url, size_bytes, mark] = sha256

    def find(self, url: str, entry: RemoteEntry) -> str | None:
        """The SHA-256 of a file, if it was seen with the same size and strong ETag."""
        return self._digests.get((url, entry.size_bytes, entry.mark)) if entry.mark else None

    def add(self, url: str, entry: RemoteEntry, sha256: str) -> None:
        """Remember the digest of a file that has a strong ETag."""
        if not entry.mark:
            return
        line = json.dumps([url, entry.size_bytes, entry.mark, sha256], ensure_ascii=False) + "\n"
        with self._lock:
            self._digests[url, entry.size_bytes, entry.mark] = sha256
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
            except OSError as error:
                log.warning("%s: cannot be written, so remote files are downloaded again: %s", self._path, error)
