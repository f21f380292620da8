"""Presets and overrides to parameters, with errors that name the line and the remedy."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from params.errors import ParameterError
from params.keys import Tree, known_keys, merge, nested
from params.pipeline import PipelineParams

PRESETS = Path(__file__).parent / "presets"
EXAMPLES = PRESETS / "examples"
"""Small files of examples, for presets and trials; gristmill-examples/NAME stands for one."""
Location = tuple[str | int, ...]


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_params(preset: str | Path, overrides: Mapping[str, Any] | None = None) -> PipelineParams:
    """Parameters of a preset (a name or a .yaml path) with overrides, nested or dotted, laid over it.

    Raises ParameterError with file, line, value and remedy.
    """
    path = find_preset(preset)
    tree, lines = _read_yaml(path)
    changed = nested(overrides or {})
    merged = merge(tree, changed)
    try:
        return PipelineParams.model_validate(merged)
    except ValidationError as error:
        raise ParameterError("\n".join(_explain(error, path, lines, changed))) from None


def parse_assignments(assignments: Sequence[str]) -> Tree:
    """`["train.stop.max_minutes=2"]` to a nested mapping; values are read as YAML."""
    tree: Tree = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.strip():
            raise ParameterError(f"--set {assignment}: write it as section.key=value, for example train.seed=7")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"--set {assignment}: the value is not YAML ({error}); quote it") from None
        tree = merge(tree, nested({key.strip(): value}))
    return tree


def find_preset(preset: str | Path) -> Path:
    """The file of a preset given by name or by path."""
    name = str(preset)
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise ParameterError(f"{name}: no such preset file; the built-in presets are {', '.join(preset_names())}")
        return Path(name)
    path = PRESETS / f"{name}.yaml"
    if "/" in name or not path.is_file():
        raise ParameterError(f"no preset named {name!r}{_did_you_mean(name, preset_names())}")
    return path


def _read_yaml(path: Path, above: tuple[Path, ...] = ()) -> tuple[Tree, dict[Location, int]]:
    """The tree of a preset, `extends` resolved, and the line of each key of this very file."""
    tree, lines = _parsed(path)
    parent, chain = tree.pop("extends", None), (*above, path.resolve())
    if parent is not None:
        if not isinstance(parent, str):
            raise ParameterError(f"{path}: extends is {parent!r}; it must be the name or the path of one preset")
        base = path.parent / parent if (path.parent / parent).is_file() else find_preset(parent)
        if base.resolve() in chain:
            raise ParameterError(f"{path}: extends leads back to {base}; a preset cannot stand on itself")
        tree = merge(_read_yaml(base, chain)[0], tree)
    return tree, lines


def _parsed(path: Path) -> tuple[Tree, dict[Location, int]]:
    try:
        text = path.read_text(encoding="utf-8")
        tree, lines = yaml.safe_load(text), dict[Location, int]()
        for location, line in _lines(yaml.compose(text, Loader=yaml.SafeLoader), ()):
            if location in lines:
                name = ".".join(map(str, location))
                raise ParameterError(f"{path}:{line}: {name} stands in line {lines[location]} already; make them one")
            lines[location] = line
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not readable as YAML: {error}") from None
    except RecursionError:
        raise ParameterError(f"{path}: not readable as YAML: it holds itself, or is nested too deeply") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(tree, dict):
        raise ParameterError(f"{path}: a preset is a mapping of sections such as survey, train and run")
    return tree, lines


def _lines(node: yaml.Node | None, at: Location) -> Iterator[tuple[Location, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*at, index)
            yield here, value.start_mark.line + 1
            yield from _lines(value, here)


def _explain(error: ValidationError, path: Path, lines: Mapping[Location, int], changed: Tree) -> Iterator[str]:
    for problem in error.errors():
        yield f"{_where(problem['loc'], path, lines, changed)}: {_told(problem, problem['loc'])}"


def refusal(error: ValidationError, section: str) -> ParameterError:
    """The error of values that were given for a section by themselves, such as train.stop."""
    above = tuple(section.split("."))
    return ParameterError("\n".join(_told(problem, (*above, *problem["loc"])) for problem in error.errors()))


def _told(problem: Any, location: Location) -> str:
    """What is wrong at a location, and what to write instead."""
    name = ".".join(map(str, location))
    if not name:
        return _message(problem["msg"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {name}{_did_you_mean(str(location[-1]), known_keys(location[:-1]))}"
    if problem["type"] == "missing":
        is_in_list = any(isinstance(part, int) for part in location)  # whose entries no override can name
        return f"{name} is required; " + ("add it" if is_in_list else f"set it in the preset or with --set {name}=…")
    if isinstance(problem["input"], (Mapping, BaseModel)):
        return f"{name}: {_message(problem['msg'])}"
    return f"{name} is {problem['input']!r}; {_message(problem['msg'])}"


def _where(location: Location, path: Path, lines: Mapping[Location, int], changed: Tree) -> str:
    if not location:
        return f"{path} with its overrides" if changed else str(path)
    value: Any = changed
    for depth, part in enumerate(location):
        if not isinstance(value, Mapping) or part not in value:
            break
        value = value[part]
        if depth == len(location) - 1 or not isinstance(value, Mapping):
            return "override"
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return f"{path}:{lines[location[:length]]}"
    return str(path)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ").replace("Input should be", "it must be")


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""
