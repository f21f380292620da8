"""HTML from parts: every text is escaped, and every text in two languages is there twice."""

import html
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tasks.report.words import Words


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Part: TypeAlias = Html | Words | str | Iterable["Part"]

_VOID = {"meta"}
_DRAWN = {"path", "rect"}
"""Elements of SVG, which end in themselves when they hold nothing."""
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, *range(55296, 57344)), "�")
"""Characters that HTML forbids, or that no file in UTF-8 can hold."""


def tag(name: str, /, *parts: Part, **attributes: str | float | None) -> Html:
    """An element; `class_` stands for class, `data_x` for data-x, and an attribute that is None is left out."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opened = "".join(f' {key}="{escape(str(value))}"' for key, value in named.items())
    if parts or name not in _VOID | _DRAWN:
        return Html(f"<{name}{opened}>{join(parts)}</{name}>")
    return Html(f"<{name}{opened}>" if name in _VOID else f"<{name}{opened}/>")


def join(parts: Part) -> Html:
    """Parts one after another."""
    if isinstance(parts, Html):
        return parts
    if isinstance(parts, str):
        return Html(escape(parts))
    if isinstance(parts, Words):
        if parts.en == parts.zh:
            return Html(escape(parts.en))
        return Html(f'<span lang="en">{escape(parts.en)}</span><span lang="zh-CN">{escape(parts.zh)}</span>')
    return Html("".join(join(part) for part in parts))


def escape(text: str) -> str:
    """Text that shows as it is, in an element or between the quotes of an attribute."""
    return html.escape(text.translate(_CONTROLS), quote=True)


def table(head: Sequence[Part], rows: Iterable[Sequence[Part]], *, words: int = 1) -> Html:
    """A table that scrolls on a narrow screen; its first columns hold words, the others numbers."""

    def cells(name: str, row: Sequence[Part]) -> list[Html]:
        return [tag(name, cell, class_="number" if at >= words else None) for at, cell in enumerate(row)]

    body = [tag("tr", *cells("td", row)) for row in rows]
    whole = tag("table", tag("thead", tag("tr", *cells("th", head))), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex=0)


def details(summary: Part, *body: Part) -> Html:
    """What opens on a click."""
    return tag("details", tag("summary", summary), *body)


def figure(title: Words, *body: Part, note: Part | None = None) -> Html:
    """A chart under its title."""
    below = [tag("p", note, class_="note")] if note is not None else []
    return tag("figure", tag("figcaption", title), *body, *below)
