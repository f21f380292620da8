"""Some dozens of English documents that any Python has: the topics of its help()."""

import pydoc_data.topics
from pathlib import Path


def write_text(folder: Path, *, every: int = 2) -> None:
    """Write every so many of the topics, a file each."""
    folder.mkdir(parents=True)
    for name, text in sorted(pydoc_data.topics.topics.items())[::every]:
        (folder / f"{name.replace('/', '-')}.txt").write_text(text, encoding="utf-8")
