"""Bar charts and intervals as HTML rows: they keep their text size on any screen, and a reader reads them aloud."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.markup import Html, Part, tag
from tasks.report.numerals import tick_labels, ticks


@dataclass(frozen=True)
class Bar:
    """A row: its parts lie end to end, each in the colour of its number."""

    label: Part
    parts: Sequence[tuple[int, float]]
    """Colour and length."""
    told: Part
    """What stands at the end of the row."""


@dataclass(frozen=True)
class Interval:
    """A row of an interval chart."""

    label: Part
    value: float
    low: float
    high: float
    told: Part
    color: int = 0


def bar_chart(bars: Sequence[Bar], *, legend: Sequence[tuple[int, Part]] = (), most: float | None = None) -> Html:
    """Rows of bars; the longest, or `most`, takes the whole width."""
    longest = most or max((sum(length for _, length in bar.parts) for bar in bars), default=0) or 1
    rows = []
    for bar in bars:
        parts = [
            tag("i", class_=f"c{color}", style=f"width:{min(100 * length / longest, 100):.3f}%")
            for color, length in bar.parts
            if length > 0
        ]
        rows.append(_row(bar.label, tag("span", *parts, class_="track"), bar.told))
    return Html(key(legend) + tag("ul", *rows, class_="bars"))


def interval_chart(
    rows: Sequence[Interval], *, legend: Sequence[tuple[int, Part]] = (), zero: bool = False, unit: Part = ""
) -> Html:
    """Points with their intervals on one scale, which has a line at nought where `zero` is asked for."""
    low, high = _scale([bound for row in rows for bound in (row.low, row.high, *([0.0] if zero else []))])

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.3f}%"

    drawn = []
    for row in rows:
        width = f"{100 * (row.high - row.low) / (high - low):.3f}%"
        marks = [tag("i", class_="zero", style=f"left:{place(0)}")] if zero else []
        marks.append(tag("i", class_=f"whisker c{row.color}", style=f"left:{place(row.low)};width:{width}"))
        marks.append(tag("i", class_=f"dot c{row.color}", style=f"left:{place(row.value)}"))
        drawn.append(_row(row.label, tag("span", *marks, class_="track rail"), row.told))
    at = [value for value in ticks(low, high, 4) if (high - low) * 0.02 <= value - low <= (high - low) * 0.98]
    labels = [tag("b", label, style=f"left:{place(value)}") for value, label in zip(at, tick_labels(at), strict=True)]
    axis = _row(unit, tag("span", *labels, class_="track ticks"), "", is_axis=True)
    return Html(key(legend) + tag("ul", *drawn, axis, class_="bars intervals"))


def key(entries: Sequence[tuple[int, Part]]) -> Html:
    """What the colours mean."""
    if not entries:
        return Html("")
    shown = [tag("li", tag("i", class_=f"c{color}"), tag("span", name)) for color, name in entries]
    return tag("ul", *shown, class_="key")


def _row(label: Part, track: Html, told: Part, *, is_axis: bool = False) -> Html:
    said = tag("span", told, class_="told")
    return tag("li", tag("span", label, class_="label"), track, said, class_="axis" if is_axis else None)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - room, high + room
