"""The wanted fields of a record: its text, and its metadata as a JSON object."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from tasks.formats.records import Document, Malformed, ReadOptions, Record, document_or_empty, excerpt, too_large

ABSENT: Any = object()
"""Stands for the value of a field that a record does not have; null is a value."""
_MAX_LEVELS = 200  # orjson writes 254


def find(row: Mapping[str, Any], name: str) -> Any:
    """The value under a key, else under the keys that dots separate; ABSENT where there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return ABSENT
        value = value[step]
    return value


def read_fields(position: int, row: Any, options: ReadOptions, data: bytes) -> Record:
    """The document of a record whose bytes were `data`."""
    text = find(row, options.text_field) if isinstance(row, dict) else ABSENT
    if not isinstance(text, str):
        return Malformed(position, "missing_text", _what_is_there(row, options.text_field), excerpt(data))
    metadata = metadata_of(row, options.metadata_fields) if options.metadata_fields else None
    try:
        return read_text(position, text, metadata, options)
    except UnicodeEncodeError:
        return Malformed(position, "malformed_json", "half a surrogate pair in the text", excerpt(data))


def read_text(position: int, text: str, metadata: str | None, options: ReadOptions) -> Record:
    """A document with its metadata, unless it is empty or too large."""
    size_bytes = len(text) if text.isascii() else len(text.encode())
    if size_bytes > options.max_bytes:
        return too_large(position, size_bytes, options, text[: 1 << 16].encode())
    record = document_or_empty(position, text)
    return record._replace(metadata=metadata) if metadata and isinstance(record, Document) else record


def metadata_of(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The named fields that a record has, as a JSON object in the order of the names; None when it has none."""
    found = {name: value for name in names if (value := find(row, name)) is not ABSENT}
    return to_json(found) if found else None


def to_json(value: Any) -> str:
    """JSON that any reader takes.

    Bytes are text or else base64, times are in ISO 8601, other objects as Python writes them. Half a surrogate pair
    becomes U+FFFD, an integer over 64 bits a string, and what is nested deeper than 200 levels an ellipsis.
    """
    try:
        return orjson.dumps(value, default=_plain).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(_storable(value, 0), default=_plain).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _storable(value: Any, level: int) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return str(value)
    if isinstance(value, dict | list | tuple) and level > _MAX_LEVELS:
        return "…"
    if isinstance(value, dict):
        return {_storable(str(key), level): _storable(item, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item, level + 1) for item in value]
    return value


def _what_is_there(row: Any, field: str) -> str:
    if not isinstance(row, dict):
        return f"a JSON {type(row).__name__}, not an object with the key {field!r}"
    value = find(row, field)
    if value is not ABSENT:
        return f"{field!r} is {'null' if value is None else type(value).__name__}, not a string"
    keys = ", ".join(list(row)[:10]) or "none"
    return f"no key {field!r}; keys are {excerpt(keys.encode('utf-8', 'replace'))}"
