"""Line charts, histograms and scatter plots: stretched SVG for lines, HTML for text, so both stay crisp."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.bars import key
from tasks.report.markup import Html, Part, tag
from tasks.report.numerals import short, tick_labels, ticks
from tasks.report.words import Said, Words

_SIDE = 1000
"""Units of the drawing, which is stretched to the width and height that the page gives it."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A series of points; `style` is line, faint, dashed or dots."""

    name: Said
    points: Sequence[Point]
    color: int = 0
    style: str = "line"
    whiskers: Sequence[tuple[float, float, float]] = ()
    """At x from low to high."""


@dataclass(frozen=True)
class Mark:
    """A moment: an upright line, told in the legend."""

    x: float
    name: Part
    color: int = 3


@dataclass(frozen=True)
class Frame:
    """The rectangle of a plot in the units of its data."""

    left: float
    right: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        """From 0 to 1, left to right."""
        return (value - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        """From 0 to 1, upwards."""
        return (value - self.bottom) / (self.top - self.bottom)

    def at(self, point: Point) -> str:
        """A point as SVG writes it."""
        return f"{_SIDE * self.x(point[0]):.1f} {_SIDE * (1 - self.y(point[1])):.1f}"


def frame_of(points: Sequence[Point], *, from_zero: bool = False, top: float | None = None) -> Frame:
    """Room for all points, with some above and below."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right = (min(xs), max(xs)) if xs else (0.0, 1.0)
    low, high = (min(ys), max(ys)) if ys else (0.0, 1.0)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    bottom = 0.0 if from_zero else low - room
    return Frame(left, right if right > left else left + 1, bottom, high + room if top is None else top)


def line_chart(
    lines: Sequence[Line],
    *,
    unit: Said,
    marks: Sequence[Mark] = (),
    from_zero: bool = False,
    top: float | None = None,
    height: int = 220,
    x_unit: Said = "",
) -> Html:
    """Lines over a common x axis; under the pointer the values are shown."""
    shown = [line for line in lines if line.points]
    ends = [(x, bound) for line in shown for x, low, high in line.whiskers for bound in (low, high)]
    frame = frame_of([point for line in shown for point in line.points] + ends, from_zero=from_zero, top=top)
    drawn = [_upright(frame, mark) for mark in marks] + [part for line in shown for part in _line(frame, line)]
    legend: list[tuple[int, Part]] = [(line.color, line.name) for line in shown] if len(shown) > 1 or marks else []
    legend += [(mark.color, mark.name) for mark in marks]
    values = [
        {
            "en": _in(line.name, "en"),
            "zh": _in(line.name, "zh"),
            "c": line.color,
            "p": [_rounded(p) for p in line.points],
        }
        for line in shown
    ]
    plot = {"lines": values, "left": frame.left, "right": frame.right}
    aloud = "; ".join(f"{_in(line.name, 'en')}: {_ends(line.points)}" for line in shown)
    drawing = surface(frame, drawn, unit=unit, x_unit=x_unit, height=height, data=plot, aloud=aloud)
    return Html(key(legend) + drawing)


def histogram(
    edges: Sequence[str],
    series: Sequence[tuple[Words, int, Sequence[float]]],
    *,
    unit: Said,
    x_unit: Said = "",
    height: int = 180,
) -> Html:
    """Columns between labelled edges; each series is drawn over the one before it, and narrower."""
    num = len(edges) - 1
    most = max((max(values, default=0) for _, _, values in series), default=0) or 1
    frame = Frame(0, num, 0, most * 1.06)
    drawn = []
    for order, (name, color, values) in enumerate(series):
        width = 0.9 - 0.4 * order
        for at, value in enumerate(values):
            if value > 0:
                tip = f"{edges[at]} – {edges[at + 1]}: {short(value)}"
                y = _SIDE * (1 - frame.y(value))
                box = {"x": f"{_SIDE * (at + (1 - width) / 2) / num:.1f}", "width": f"{_SIDE * width / num:.1f}"}
                title = tag("title", f"{name.en} / {name.zh}: {tip}")
                drawn.append(tag("rect", title, class_=f"c{color}", y=f"{y:.1f}", height=f"{_SIDE - y:.1f}", **box))
    every = max(1, -(-num // 6))
    places = [(index / num, edges[index]) for index in range(0, num + 1, every)]
    legend = key([(color, name) for name, color, _ in series]) if len(series) > 1 else ""
    aloud = "; ".join(f"{name.en}: {', '.join(map(short, values))}" for name, _, values in series)
    drawing = surface(frame, drawn, unit=unit, x_unit=x_unit, height=height, x_labels=places, aloud=aloud)
    return Html(legend + drawing)


def scatter(points: Sequence[tuple[Said, Point]], *, unit: Said, x_unit: Said, height: int = 200) -> Html:
    """Points in colours of their own, in the order of the legend; what is across begins at nought."""
    places = [point for _, point in points]
    frame = frame_of(places)
    frame = Frame(0, frame.right * 1.08, frame.bottom, frame.top)
    drawn = [_dots(frame, [point], color=at, big=True) for at, point in enumerate(places)]
    aloud = "; ".join(f"{_in(name, 'en')}: {short(y)} at {short(x)}" for name, (x, y) in points)
    return surface(frame, drawn, unit=unit, x_unit=x_unit, height=height, aloud=aloud)


def surface(
    frame: Frame,
    drawn: Sequence[Html],
    *,
    unit: Said,
    x_unit: Said,
    height: int,
    aloud: str,
    data: object = None,
    x_labels: Sequence[tuple[float, str]] | None = None,
) -> Html:
    """The rectangle of a plot with its grid, its ticks and what is drawn in it; `aloud` tells it to who cannot see."""
    ys = [value for value in ticks(frame.bottom, frame.top, 5) if 0 <= frame.y(value) <= 1]
    if x_labels is None:
        xs = ticks(frame.left, frame.right, 5)
        x_labels = [(frame.x(value), label) for value, label in zip(xs, tick_labels(xs), strict=True)]
    grid = [tag("path", class_="grid", d=f"M0 {_SIDE * (1 - frame.y(value)):.1f}H{_SIDE}") for value in ys]
    svg = tag("svg", *grid, *drawn, viewBox=f"0 0 {_SIDE} {_SIDE}", preserveAspectRatio="none", aria_hidden="true")
    left = [
        tag("b", label, class_="y", style=f"bottom:{100 * frame.y(value):.2f}%")
        for value, label in zip(ys, tick_labels(ys), strict=True)
    ]
    below = [tag("b", label, class_="x", style=f"left:{100 * at:.2f}%") for at, label in x_labels]
    plain = json.dumps(data, separators=(",", ":"), ensure_ascii=False) if data is not None else None
    plot = tag(
        "div",
        svg,
        *left,
        *below,
        class_="plot",
        role="img",
        aria_label=aloud,
        style=f"height:{height}px",
        data_plot=plain,
    )
    return Html(tag("div", unit, class_="unit") + plot + tag("div", x_unit, class_="unit x"))


def thinned(points: Sequence[Point], most: int = 400) -> list[Point]:
    """At most about so many points: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    length = -(-2 * len(points) // most)
    kept = []
    for start in range(0, len(points), length):
        stretch = points[start : start + length]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept


def _line(frame: Frame, line: Line) -> list[Html]:
    whiskers = [
        tag("path", class_=f"whisker s{line.color}", d=f"M{frame.at((x, low))}L{frame.at((x, high))}")
        for x, low, high in line.whiskers
    ]
    if line.style == "dots":
        return [*whiskers, _path(frame, line, "line"), _dots(frame, line.points, color=line.color)]
    return [*whiskers, _path(frame, line, line.style)]


def _path(frame: Frame, line: Line, style: str) -> Html:
    return tag("path", class_=f"{style} s{line.color}", d="M" + "L".join(frame.at(point) for point in line.points))


def _dots(frame: Frame, points: Sequence[Point], *, color: int, big: bool = False) -> Html:
    """Round ends of lines without length: the stretched drawing would make ellipses of circles."""
    places = "".join(f"M{frame.at(point)}h0" for point in points)
    return tag("path", class_=f"{'big' if big else 'dots'} s{color}", d=places)


def _upright(frame: Frame, mark: Mark) -> Html:
    return tag("path", class_=f"mark s{mark.color}", d=f"M{_SIDE * frame.x(mark.x):.1f} 0V{_SIDE}")


def _ends(points: Sequence[Point]) -> str:
    return f"from {short(points[0][1])} at {short(points[0][0])} to {short(points[-1][1])} at {short(points[-1][0])}"


def _in(name: Said, language: str) -> str:
    if isinstance(name, Words):
        return name.en if language == "en" else name.zh
    return name


def _rounded(point: Point) -> list[float]:
    return [float(f"{point[0]:.6g}"), float(f"{point[1]:.5g}")]
