"""A bar chart of why documents were dropped."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_KEPT, _DROPPED = "#4c9f70", "#c8553d"
_ROW_INCHES, _HEAD_INCHES, _FOOT_INCHES = 0.36, 0.45, 0.65
_LABEL_INCHES, _BAR_INCHES = 3.4, 6.4
"""Fixed rooms: to find those that fit, matplotlib would draw everything twice."""


def draw_losses(path: Path, dropped: Mapping[str, int], *, docs_in: int, title: str) -> None:
    """Horizontal bars: documents kept, then those dropped by each reason, most first; written as PNG."""
    by_count = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    kept = docs_in - sum(dropped.values())
    rows = [("kept", kept), *by_count]
    height = _HEAD_INCHES + _FOOT_INCHES + _ROW_INCHES * len(rows)
    figure = Figure(figsize=(_LABEL_INCHES + _BAR_INCHES + 0.2, height))
    FigureCanvasAgg(figure)
    inner = _BAR_INCHES / figure.get_figwidth(), 1 - (_HEAD_INCHES + _FOOT_INCHES) / height
    axes = figure.add_axes((_LABEL_INCHES / figure.get_figwidth(), _FOOT_INCHES / height, *inner))
    axes.set_title(f"{title}: {kept:,} of {docs_in:,} documents kept ({_percent(kept, docs_in)})", loc="left")
    _draw_rows(axes, rows, docs_in)
    figure.savefig(path, dpi=120)


def _draw_rows(axes: Axes, rows: list[tuple[str, int]], docs_in: int) -> None:
    names, counts = [name for name, _ in rows], [count for _, count in rows]
    bars = axes.barh(range(len(rows)), counts, color=[_KEPT, *[_DROPPED] * (len(rows) - 1)], height=0.7)
    axes.bar_label(bars, [f"{count:,} ({_percent(count, docs_in)})" for count in counts], padding=4)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(*counts, 1) * 1.3)
    axes.set_xlabel("documents")
    axes.spines[["top", "right"]].set_visible(False)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"
