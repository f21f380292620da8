"""The parameters as a Markdown page: python -m params.reference > docs/parameters.md."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from params.keys import model_of
from params.pipeline import PipelineParams

HEAD = """\
# Parameters

Every key of a preset with its default. Lay values over a preset with `--set section.key=value`, in a preset of your
own (`extends: quickstart`), or with the `overrides` of the Prefect flow. Everything but `run` and `notify` is part of a
result's identity.
Made by `python -m params.reference` from the models in params/."""


def markdown() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for name in PipelineParams.model_fields for line in _section(name)), ""])


def _section(name: str) -> Iterator[str]:
    field = PipelineParams.model_fields[name]
    model = model_of(field.annotation)
    assert model is not None
    yield f"\n## {name}\n\n{field.description}\n\n| key | default | what it changes |\n|---|---|---|"
    yield from _rows(model, f"{name}.", ())


def _rows(model: type[BaseModel], prefix: str, outer: tuple[type[BaseModel], ...]) -> Iterator[str]:
    """The rows of a model inside others; one that nests in itself (rules of rules) is described once."""
    outer = (*outer, model)
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        inner = model_of(field.annotation)
        if inner is not None and any(issubclass(one, inner) for one in outer):
            yield f"| `{prefix}{name}` | {_shown(field.default)} | {_described(field)} |"
            continue
        if inner is not None and not _is_optional(field.annotation):
            key = f"{prefix}{name}[]." if "tuple" in str(field.annotation) else f"{prefix}{name}."
            yield from _rows(inner, key, outer)
        else:
            default = "required" if field.is_required() else _shown(field.default)
            yield f"| `{prefix}{name}` | {default} | {_described(field)} |"
            if inner is not None:
                yield from _rows(inner, f"{prefix}{name}.", outer)


def _described(field: FieldInfo) -> str:
    return (field.description or "").replace("\n", " ").replace("|", "\\|")


def _is_optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _shown(default: Any) -> str:
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, BaseModel):
        return "on"
    if isinstance(default, dict):
        return f"`{{{', '.join(f'{key}: {value}' for key, value in default.items())}}}`"
    if isinstance(default, tuple) and any(isinstance(item, BaseModel) for item in default):
        return f"{len(default)} built in"
    if isinstance(default, tuple):
        return ", ".join(f"`{item}`" for item in default) or "none"
    return f"{default}"


if __name__ == "__main__":
    print(markdown(), end="")
