"""Any tree of results as tables, for sections of an evaluation that nobody has written a view for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.report.numerals import figure
from tasks.report.words import Said, Words, figure_words

_LOW, _HIGH = "_low", "_high"
_MAX_ROWS = 40


@dataclass(frozen=True)
class Table:
    """Rows under a title; the first column names what a row is about."""

    title: tuple[Said, ...]
    head: tuple[Said, ...]
    rows: tuple[tuple[Said, ...], ...]


def tables_of(tree: Mapping[str, Any], title: tuple[Said, ...] = ()) -> Iterator[Table]:
    """A table for the plain values of a tree, one for each group of similar parts, and so on downwards."""
    plain = _plain(tree)
    if plain:
        rows = tuple((figure_words(key), value) for key, value in list(_folded(plain).items())[:_MAX_ROWS])
        yield Table(title, (Words("figure", "指标"), Words("value", "值")), rows)
    for key, value in tree.items():
        below = (*title, figure_words(key))
        if isinstance(value, Mapping) and value:
            if _is_group(value):
                yield _grouped(value, below)
                for name, part in value.items():
                    deeper = {inner: found for inner, found in part.items() if not _is_plain(found)}
                    yield from tables_of(deeper, (*below, name))
            else:
                yield from tables_of(value, below)
        elif isinstance(value, Sequence) and value and all(isinstance(one, Mapping) for one in value):
            yield _listed(value, below)


def _is_group(tree: Mapping[str, Any]) -> bool:
    """Whether every part is a tree of its own and all name a figure that the first names too."""
    parts = list(tree.values())
    if not all(isinstance(part, Mapping) and part for part in parts):
        return False
    first = set(_plain(parts[0]))
    return bool(first) and all(first & set(_plain(part)) for part in parts)


def _grouped(tree: Mapping[str, Mapping[str, Any]], title: tuple[Said, ...]) -> Table:
    folded = {name: _folded(_plain(part)) for name, part in list(tree.items())[:_MAX_ROWS]}
    columns = list(dict.fromkeys(key for part in folded.values() for key in part))
    rows = tuple((name, *(part.get(key, "–") for key in columns)) for name, part in folded.items())
    return Table(title, ("", *(figure_words(key) for key in columns)), rows)


def _listed(rows: Sequence[Mapping[str, Any]], title: tuple[Said, ...]) -> Table:
    """Each row under what it holds first, where that is a name of its own, else under its number."""
    first = next(iter(rows[0]), "")
    names = [row.get(first) for row in rows]
    if len({name for name in names if isinstance(name, str)}) < len(rows):
        return _grouped({str(at): row for at, row in enumerate(rows, 1)}, title)
    rest = {str(row[first]): {key: value for key, value in row.items() if key != first} for row in rows}
    made = _grouped(rest, title)
    return replace(made, head=(figure_words(first), *made.head[1:]))


def _plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(one) and not isinstance(one, list | tuple) for one in value)
    return not isinstance(value, Mapping)


def _folded(plain: Mapping[str, Any]) -> dict[str, str]:
    """Figures as text, each with its interval where there is one."""
    found = {}
    for key, value in plain.items():
        if key.endswith((_LOW, _HIGH)) and key.rpartition("_")[0] in plain:
            continue
        text = ", ".join(map(figure, value)) if isinstance(value, list | tuple) else figure(value)
        if key + _LOW in plain and key + _HIGH in plain:
            text += f" ({figure(plain[key + _LOW])} – {figure(plain[key + _HIGH])})"
        found[key] = text
    return found
