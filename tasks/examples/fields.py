"""The fields of a row that are texts; what is none is Unusable, with the place."""

from collections.abc import Mapping
from typing import Any

from tasks.formats.records import Unusable


def fields_of(row: Any) -> Mapping[str, Any]:
    """The keys of a row; raises Unusable for a row that has none."""
    if isinstance(row, Unusable):
        raise row
    if not isinstance(row, Mapping):
        raise Unusable("no_object", f"a row is an object with keys, and this is {type(row).__name__}")
    return row


def text_of(value: Any, place: str) -> str:
    """A text that is not blank and can be stored; raises Unusable with the place for everything else."""
    if not isinstance(value, str):
        raise Unusable("no_text", f"{place} is {type(value).__name__}, not text")
    if not value or value.isspace():
        raise Unusable("empty", f"{place} is empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Unusable("no_text", f"{place} holds half a character (a lone surrogate)")
    return value
