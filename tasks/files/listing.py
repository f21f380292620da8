"""The files of a folder, local or remote, that patterns ask for."""

import errno
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from params.errors import SourceError
from tasks.files.patterns import compile_patterns
from tasks.files.places import Root, printable
from tasks.files.remote import RemoteEntry, RemoteFile, list_remote

log = logging.getLogger(__name__)
_AWAY = frozenset(
    {
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    }
)
"""What a mounted file system says when its server does not answer."""


@dataclass
class Listing:
    """What a look through a folder found."""

    paths: list[str] = field(default_factory=list)
    """Files that the patterns ask for, relative to the root, sorted."""
    suffixes: Counter[str] = field(default_factory=Counter)
    """Name endings of all the files seen."""
    num_links: int = 0
    """Symbolic links that lead out of the root or to a folder; they are not followed."""
    entries: dict[str, RemoteEntry] = field(default_factory=dict)
    """What a remote store says of each file."""


def list_files(root: Root, include: Sequence[str], exclude: Sequence[str]) -> Listing:
    """The files under `root` that match a pattern of `include` and none of `exclude`; a root that is a file is itself.

    Links to files inside the root are read, links that lead out of it are not. Pipes and devices are no files. What
    `datasets` writes beside the tables of a data set saved to disk is left out.
    """
    if isinstance(root, Path):
        return _list_local(root, include, exclude)
    entries = list_remote(root)
    if [entry.path for entry in entries] == [""]:
        name = RemoteFile(root, "").name
        return Listing([name], entries={name: entries[0]})
    listing = _select((entry.path for entry in entries), include, exclude)
    listing.entries = {entry.path: entry for entry in entries}
    return listing


def _list_local(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Listing:
    if root.is_file():
        return Listing([printable(root.name)])
    num_links, found = 0, []
    inside = os.path.realpath(root) + os.sep
    for path, is_link in _walk(str(root)):
        if is_link and not _is_file_inside(os.path.join(root, path), inside):  # noqa: PTH118 (Path is slow for thousands)
            num_links += 1
        else:
            found.append(path)
    listing = _select(found, include, exclude)
    listing.num_links = num_links
    return listing


def _select(paths: Iterable[str], include: Sequence[str], exclude: Sequence[str]) -> Listing:
    wanted, unwanted, listing = compile_patterns(include), compile_patterns(exclude), Listing()
    seen = []
    for path in paths:
        listing.suffixes[os.path.splitext(path)[1].lower()] += 1  # noqa: PTH122
        if path.endswith(("state.json", "dataset_info.json")):
            seen.append(path)
        if wanted.fullmatch(path) and not unwanted.fullmatch(path):
            listing.paths.append(printable(path))
    saved = _saved_data_sets(seen)
    listing.paths = sorted(path for path in listing.paths if not _is_bookkeeping(path, saved))
    return listing


def _saved_data_sets(paths: Iterable[str]) -> set[str]:
    """Folders that `Dataset.save_to_disk` wrote: both files are there."""
    found = set(paths)
    folders = {path.removesuffix("state.json") for path in found if path.endswith("state.json")}
    return {folder for folder in folders if (not folder or folder[-1] == "/") and f"{folder}dataset_info.json" in found}


def _is_bookkeeping(path: str, saved: set[str]) -> bool:
    """Whether `datasets` wrote a file for itself: its state, its description, or a cached intermediate table."""
    folder, slash, name = path.rpartition("/")
    here = folder + slash
    if here in saved:
        return name in ("state.json", "dataset_info.json") or (name.startswith("cache-") and name.endswith(".arrow"))
    return name == "dataset_dict.json" and any(
        inner.startswith(here) and inner.count("/") == here.count("/") + 1 for inner in saved
    )


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
            refuse_if_away(error)
            log.warning("%s: this folder cannot be listed and is left out: %s", error.filename, error.strerror)


def refuse_if_away(error: OSError) -> None:
    """Raise SourceError where a mounted file system does not answer: what is on it has not gone.

    A retraining would take it for withdrawn text.
    """
    if error.errno in _AWAY:
        raise SourceError(
            f"{error.filename}: its file system does not answer ({error.strerror}); mount it again, then start the "
            "same command"
        ) from None


def _is_file_inside(link: str, inside: str) -> bool:
    target = os.path.realpath(link)
    return target.startswith(inside) and not os.path.isdir(target)  # noqa: PTH112
