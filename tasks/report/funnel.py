"""A bar chart of why documents were dropped."""

from collections.abc import Mapping
from pathlib import Path

from tasks.report.canvas import INK, Canvas

_KEPT, _DROPPED = "#4c9f70", "#c8553d"
_ROW, _BAR, _HEAD, _FOOT = 43.2, 30.0, 54.0, 78.0
_LABELS, _BARS, _WIDTH = 408.0, 570.0, 1200.0
_TEXT, _TITLE, _GAP = 16, 19, 8


def draw_losses(path: Path, dropped: Mapping[str, int], *, docs_in: int, title: str) -> None:
    """Horizontal bars: documents kept, then those dropped by each reason, most first; written as PNG."""
    by_count = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    kept = docs_in - sum(dropped.values())
    rows = [("kept", kept), *by_count]
    bottom = _HEAD + _ROW * len(rows)
    canvas = Canvas(_WIDTH, bottom + _FOOT)
    head = f"{title}: {kept:,} of {docs_in:,} documents kept ({_percent(kept, docs_in)})"
    canvas.text((_LABELS, _HEAD / 2), head, size=_TITLE)
    most = max(1, *(count for _, count in rows))
    for place, (name, count) in enumerate(rows):
        middle, end = _HEAD + _ROW * (place + 0.5), _LABELS + _BARS * count / most
        canvas.text((_LABELS - _GAP, middle), name, size=_TEXT, side="r")
        canvas.box(_LABELS, middle - _BAR / 2, end, middle + _BAR / 2, _DROPPED if place else _KEPT)
        canvas.text((end + _GAP, middle), f"{count:,} ({_percent(count, docs_in)})", size=_TEXT)
    canvas.box(_LABELS - 1, _HEAD, _LABELS, bottom, INK)
    canvas.text((_LABELS + _BARS / 2, bottom + _FOOT / 2), "documents", size=_TEXT, side="m")
    canvas.save(path)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"
