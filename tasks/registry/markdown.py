"""Markdown whose words cannot break it."""

import re
from collections.abc import Iterator, Sequence

_RULES = {"l": "---", "r": "---:"}


def row(cells: Sequence[str], sides: str | None = None) -> Iterator[str]:
    """A row of a table; with the sides of its columns (l, r) it is the head."""
    yield f"| {' | '.join(map(cell, cells))} |"
    if sides is not None:
        yield f"|{'|'.join(_RULES[side] for side in sides)}|"


def cell(text: str) -> str:
    """Text on one line that ends no cell and opens no tag."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def quoted(text: str) -> Iterator[str]:
    """Text as it is, line by line, whatever it holds: an indented block of code."""
    yield from (f"    {line}" for line in re.split(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", text))
