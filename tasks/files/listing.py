"""The files of a folder that patterns ask for, and their digests."""

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tasks.files.patterns import compile_patterns

log = logging.getLogger(__name__)

UNREADABLE = ""
"""Stands for the digest of a file that could not be read."""
_SMALL_BYTES = 1 << 18
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")


@dataclass(frozen=True)
class HashedFile:
    """A file by its content."""

    path: str
    """Relative to the root, with forward slashes; bytes of a name that are not UTF-8 as \\xNN."""
    size_bytes: int
    sha256: str


@dataclass
class Listing:
    """What a look through a folder found."""

    paths: list[str] = field(default_factory=list)
    """Files that the patterns ask for, relative to the root, sorted."""
    suffixes: Counter[str] = field(default_factory=Counter)
    """Name endings of all the files seen."""
    num_links: int = 0
    """Symbolic links that lead out of the root or to a folder; they are not followed."""


def list_files(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Listing:
    """The files under `root` that match a pattern of `include` and none of `exclude`; a root that is a file is itself.

    Links to files inside the root are read, links that lead out of it are not. Pipes and devices are no files.
    """
    if root.is_file():
        return Listing([_printable(root.name)])
    wanted, unwanted, listing = compile_patterns(include), compile_patterns(exclude), Listing()
    inside = os.path.realpath(root) + os.sep
    for path, is_link in _walk(str(root)):
        if is_link and not _is_file_inside(os.path.join(root, path), inside):  # noqa: PTH118 (Path is slow for thousands)
            listing.num_links += 1
            continue
        listing.suffixes[os.path.splitext(path)[1].lower()] += 1  # noqa: PTH122
        if wanted.fullmatch(path) and not unwanted.fullmatch(path):
            listing.paths.append(_printable(path))
    listing.paths.sort()
    return listing


def hash_files(root: Path, paths: Sequence[str], workers: int) -> list[HashedFile]:
    """Size and SHA-256 of files of a root, read by several threads; an unreadable file gets the digest UNREADABLE."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda path: _hash_file(root, path), paths))


def locate(root: Path, path: str) -> Path:
    """Where a listed file lies."""
    if root.is_file():
        return root
    found = root / path
    if "\\x" in path and not found.exists():
        named = _ESCAPED.sub(lambda match: os.fsdecode(bytes.fromhex(match[1])), path)
        return root / named
    return found


def _walk(root: str) -> Iterator[tuple[str, bool]]:
    """Relative paths of files, and whether each is a symbolic link."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{folder}{entry.name}/")
                    elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                        yield folder + entry.name, entry.is_symlink()
        except OSError as error:
            log.warning("%s: this folder cannot be listed and is left out: %s", error.filename, error.strerror)


def _is_file_inside(link: str, inside: str) -> bool:
    target = os.path.realpath(link)
    return target.startswith(inside) and not os.path.isdir(target)  # noqa: PTH112


def _hash_file(root: Path, path: str) -> HashedFile:
    try:
        with locate(root, path).open("rb", buffering=0) as file:
            data = file.read(_SMALL_BYTES) or b""
            if len(data) < _SMALL_BYTES and not file.read(1):
                return HashedFile(path, len(data), hashlib.sha256(data).hexdigest())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return HashedFile(path, file.tell(), digest)
    except OSError as error:
        log.warning("%s: cannot be read: %s", path, error.strerror)
        return HashedFile(path, 0, UNREADABLE)


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
