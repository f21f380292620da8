"""Digests of values, files and folders."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.artifacts.intermediate import is_intermediate

_CHUNK_BYTES = 1 << 20


def digest_value(value: Any) -> str:
    """SHA-256, as 64 hex digits, of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256, as 64 hex digits, of a file's bytes."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_stream(stream: Any) -> str:
    """SHA-256, as 64 hex digits, of what is left to read of a binary stream."""
    found = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        found.update(chunk)
    return found.hexdigest()


def digest_entries(entries: Iterable[tuple[str, int, str]]) -> str:
    """Digest of a folder from its (relative path, size in bytes, SHA-256) entries, in any order."""
    return digest_value(sorted(entries))


def sync(path: Path) -> None:
    """Force a file's or folder's contents onto the disk, unless they need not outlive the machine's run."""
    if is_intermediate(path):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file so that a crash at any instant leaves the old contents or the new, never a part."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        commit(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def commit(temporary: Path, path: Path) -> None:
    """Give a finished temporary file or folder its final name, durably."""
    commit_in_draft(temporary, path)
    sync(path.parent)


def commit_in_draft(temporary: Path, path: Path) -> None:
    """Give a finished file of a draft its final name; its contents are never partial.

    A power cut may lose the name, and the file is made once more; the seal of the draft makes all names durable.
    """
    sync(temporary)
    temporary.replace(path)
