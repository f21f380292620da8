"""Samples as people read them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

FILE = "samples.jsonl"
"""In logs/: lines of step, prompt, kind (greedy or drawn), text and num_tokens."""
_MARKUP = re.compile(r"[\\`*_\[\]<>|]")
_COLUMNS = ("step", "prompt", "kind", "text")


def as_markdown(samples: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; what a young model writes cannot break out of its cell."""
    rows = ["| step | prompt | kind | text |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(_cell(sample[name]) for name in _COLUMNS)} |" for sample in samples]
    return "\n".join(rows)


def as_columns(samples: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Column by column, as MLflow's log_table takes a table."""
    return {name: [sample[name] for sample in samples] for name in _COLUMNS}


def _cell(value: Any) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return _MARKUP.sub(r"\\\g<0>", text)
