"""Size and SHA-256 of raw files: a source is what its bytes are, from wherever they come."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tasks.files.known_digests import KnownDigests
from tasks.files.listing import Listing, refuse_if_away
from tasks.files.places import Root, locate
from tasks.files.remote import RemoteEntry, RemoteFile

log = logging.getLogger(__name__)

UNREADABLE = ""
"""Stands for the digest of a file that could not be read."""
_SMALL_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class HashedFile:
    """A file by its content."""

    path: str
    """Relative to the root, with forward slashes; bytes of a name that are not UTF-8 as \\xNN."""
    size_bytes: int
    sha256: str


def hash_files(root: Root, listing: Listing, workers: int, known: KnownDigests | None = None) -> list[HashedFile]:
    """Size and SHA-256 of the files of a root, read by several threads; an unreadable file gets the digest UNREADABLE.

    A remote file is downloaded once for this, unless `known` holds its digest under the same strong ETag and size: the
    identity of a source is its bytes, so that the same files give the same result from wherever they come.
    """

    def digest(path: str) -> HashedFile:
        file = locate(root, path)
        if isinstance(file, Path):
            return _hash_file(file, path)
        return _hash_remote(file, path, listing.entries.get(path), known)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(digest, listing.paths))


def _hash_file(file: Path, path: str) -> HashedFile:
    try:
        with file.open("rb", buffering=0) as opened:
            data = opened.read(_SMALL_BYTES) or b""
            if len(data) < _SMALL_BYTES and not opened.read(1):
                return HashedFile(path, len(data), hashlib.sha256(data).hexdigest())
            opened.seek(0)
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            return HashedFile(path, opened.tell(), digest)
    except OSError as error:
        refuse_if_away(error)
        return _unreadable(path, error)


def _hash_remote(file: RemoteFile, path: str, entry: RemoteEntry | None, known: KnownDigests | None) -> HashedFile:
    sha256 = known.find(str(file), entry) if known and entry else None
    if entry and entry.size_bytes is not None and sha256:
        return HashedFile(path, entry.size_bytes, sha256)
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with closing(file.open()) as opened:
            while data := opened.read(_CHUNK_BYTES):
                digest.update(data)
                size_bytes += len(data)
    except OSError as error:
        return _unreadable(path, error)
    if known and entry and entry.size_bytes == size_bytes:
        known.add(str(file), entry, digest.hexdigest())
    return HashedFile(path, size_bytes, digest.hexdigest())


def _unreadable(path: str, error: OSError) -> HashedFile:
    log.warning("%s: cannot be read: %s", path, error.strerror or error)
    return HashedFile(path, 0, UNREADABLE)
