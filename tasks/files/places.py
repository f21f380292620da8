"""Where raw files lie: a folder of this machine or a URL, and the names they have in results."""

import os
import re
from pathlib import Path

from tasks.files.remote import RemoteFile, RemoteRoot, is_file

Root = Path | RemoteRoot
RawFile = Path | RemoteFile
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")


def locate(root: Root, path: str) -> RawFile:
    """Where a listed file lies."""
    if not isinstance(root, Path):
        whole = RemoteFile(root, "")
        return whole if path == whole.name and is_file(root) else RemoteFile(root, path)
    if root.is_file():
        return root
    found = root / path
    if "\\x" in path and not found.exists():
        named = _ESCAPED.sub(lambda match: os.fsdecode(bytes.fromhex(match[1])), path)
        return root / named
    return found


def printable(path: str) -> str:
    """A path with the bytes that are not UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
