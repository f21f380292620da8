"""Labelled texts, and pairs of a source and a target text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.examples.fields import fields_of, text_of
from tasks.formats.records import Unusable

_TEXTS, _LABELS = ("text", "sentence", "content"), ("label", "category", "class")
_SOURCES, _TARGETS = ("source", "input", "document"), ("target", "output", "summary")


@dataclass(frozen=True)
class Labelled:
    """A text and what it is."""

    text: str
    label: str


@dataclass(frozen=True)
class Pair:
    """A text and what is to be written for it."""

    source: str
    target: str


def read_labelled(row: Any) -> Labelled:
    """The text and the label of a row; a label is text, a whole number or true or false."""
    fields = fields_of(row)
    text, label = _value(fields, _TEXTS), _value(fields, _LABELS)
    if isinstance(label, bool):
        label = str(label).lower()
    if not isinstance(label, str | int) or label == "":
        raise Unusable("bad_label", f"the label is {label!r}; a label is text or a whole number")
    return Labelled(text_of(text, "text"), str(label))


def read_pair(row: Any) -> Pair:
    """The source and the target of a row."""
    fields = fields_of(row)
    return Pair(text_of(_value(fields, _SOURCES), "source"), text_of(_value(fields, _TARGETS), "target"))


def _value(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if fields.get(name) is not None:
            return fields[name]
    raise Unusable(f"no_{names[0]}", f"there is none of {', '.join(names)}")
