"""Dotted keys of overrides: which section, field or name in a mapping each of their parts is."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from params.pipeline import PipelineParams

Tree = dict[str, Any]


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    """`base` with `changes` laid over it, mapping by mapping; lists and values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def nested(flat: Mapping[str, Any], place: Any = PipelineParams) -> Tree:
    """Dotted keys as mappings in mappings; `place` is the type of what the keys lead into.

    The keys of a mapping are names, which may have dots of their own: a source, or a figure in release.gate.limits.
    """
    tree: Tree = {}
    for key, value in flat.items():
        steps, end = _steps(str(key).split("."), place)
        inner: Any = nested(value, end) if isinstance(value, Mapping) else value
        for step in reversed(steps):
            inner = {step: inner}
        tree = merge(tree, inner)
    return tree


def known_keys(location: Sequence[str | int]) -> list[str]:
    """The fields at a location in the parameters; none where it is no section."""
    place: Any = PipelineParams
    for part in location:
        if isinstance(part, str):
            place = values_of(place) or _type_of(part, place)
    model = None if values_of(place) else model_of(place)
    return list(_fields(model)) if model else []


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The parameter model in a field's annotation, however deep in unions and tuples; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := model_of(arg))), None)


def values_of(annotation: Any) -> Any:
    """The type of the values where an annotation is a mapping, or one of its choices is; else None."""
    if isinstance(origin := get_origin(annotation), type) and issubclass(origin, Mapping):
        return get_args(annotation)[1]
    if isinstance(origin, type) and issubclass(origin, tuple | list):
        return None
    return next((found for arg in get_args(annotation) if (found := values_of(arg))), None)


def _steps(parts: list[str], place: Any) -> tuple[list[str], Any]:
    """The keys that the parts of a dotted key stand for, and the type that they lead to."""
    if not parts:
        return [], place
    values = values_of(place)
    if values is None:
        rest, end = _steps(parts[1:], _type_of(parts[0], place))
        return [parts[0], *rest], end
    model = model_of(values)
    is_field = model is not None and len(parts) > 1 and parts[-1] in _fields(model)
    size = len(parts) - is_field
    rest, end = _steps(parts[size:], values)
    return [".".join(parts[:size]), *rest], end


def _type_of(name: str, place: Any) -> Any:
    model = model_of(place)
    field = _fields(model).get(name) if model else None
    return field.annotation if field else None


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by the name they have in a preset."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
