"""The report of the filters: measured values by rule, and what became of the documents of each source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.report.canvas import Canvas

_GOPHER = "Gopher: Rae et al. 2021 (arXiv 2112.11446), table A1"
_FINEWEB2 = "FineWeb2, configs/cmn_Hani.yml, n-grams of characters in place of words"
_SOURCES = {
    "empty": "",
    "language": "FineWeb: Penedo et al. 2024 (arXiv 2406.17557), section 3.3",
    "repetition": _GOPHER,
    "repetition_unspaced": _FINEWEB2,
    "words": _GOPHER,
    "characters": "ChineseWebText: Chen et al. 2023 (arXiv 2311.01149); FineWeb2",
    "lines": _GOPHER,
    "c4": "C4: Raffel et al. 2020 (JMLR 21), section 2.2",
    "fineweb": "FineWeb: Penedo et al. 2024 (arXiv 2406.17557), section 3.6",
    "fineweb_unspaced": _FINEWEB2,
}
_OTHER_SOURCES = {
    "lines.min_mean_line_length": "ChineseWebText: Chen et al. 2023 (arXiv 2311.01149)",
    "lines.max_mean_line_length": "The Stack: Kocetkov et al. 2022 (arXiv 2211.15533)",
    "lines.max_line_length": "The Stack: Kocetkov et al. 2022 (arXiv 2211.15533)",
    "lines.min_alphanumeric": "The Stack: Kocetkov et al. 2022 (arXiv 2211.15533)",
}


_COLUMN, _LABELS, _GAP, _TEXT = 850.0, 400.0, 20.0, 12
_ROW, _HEAD, _FOOT = 24.0, 20.0, 100.0
_FULL, _THRESHOLD = (8, 48, 107), "#c8553d"


@dataclass(frozen=True)
class RuleReport:
    """One rule and the values that were measured for it."""

    name: str
    family: str
    source: str
    """Who proposed it; empty for our own."""
    threshold: float
    direction: str
    """at_least or at_most."""
    edges: Sequence[float]
    """Lower edges of the bins; the last one is open."""
    counts: Sequence[int]
    """Documents in each bin."""


def source_of(rule: str) -> str:
    """Who proposed a rule; empty for our own."""
    return _OTHER_SOURCES.get(rule, _SOURCES.get(rule.partition(".")[0], ""))


def table_rows(by_source: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of source, rule, documents and share, most first: a table for MLflow and the Prefect UI."""
    for source, found in by_source.items():
        by_count = sorted(found["rejected"].items(), key=lambda item: (-item[1], item[0]))
        for rule, docs in [("kept", found["docs_kept"]), *by_count]:
            share = round(docs / max(found["docs_in"], 1), 4)
            yield {"source": source, "rule": rule, "documents": docs, "share": share}


def draw_histograms(path: Path, rules: Sequence[RuleReport]) -> None:
    """How the documents spread over the values of each rule, a row per rule with its threshold, as PNG.

    Rules with the same bins stand under each other.
    """
    groups: dict[tuple[float, ...], list[RuleReport]] = {}
    for rule in rules:
        groups.setdefault(tuple(rule.edges), []).append(rule)
    rows, columns = max((len(group) for group in groups.values()), default=1), max(len(groups), 1)
    canvas = Canvas(_COLUMN * columns, _ROW * rows + _HEAD + _FOOT)
    for place, (edges, group) in enumerate(groups.items()):
        _draw_map(canvas, place * _COLUMN + _LABELS, edges, group)
    canvas.save(path)


def _draw_map(canvas: Canvas, left: float, edges: Sequence[float], rules: Sequence[RuleReport]) -> None:
    """Colours go with the root of the share of documents, so that small bins can be seen."""
    cell = (_COLUMN - _LABELS - _GAP) / len(edges)
    bottom = _HEAD + _ROW * len(rules)
    for row, rule in enumerate(rules):
        top = _HEAD + _ROW * row
        sign = {"at_least": ">=", "at_most": "<="}[rule.direction]
        canvas.text((left - _GAP, top + _ROW / 2), f"{rule.name} {sign} {rule.threshold:g}", size=_TEXT, side="r")
        for place, count in enumerate(rule.counts):
            share = (count / max(sum(rule.counts), 1)) ** 0.5
            canvas.box(left + cell * place, top, left + cell * (place + 1), top + _ROW, _shade(share))
        threshold = left + cell * float(np.interp(rule.threshold, edges, range(len(edges))))
        canvas.box(threshold - 1, top + 3, threshold + 1, top + _ROW - 3, _THRESHOLD)
    for place in range(0, len(edges), max(1, len(edges) // 8)):
        canvas.text((left + cell * place, bottom + _FOOT / 4), _short(edges[place]), size=_TEXT, side="m")
    legend = "value (documents: darker is more; red: threshold)"
    canvas.text((left + cell * len(edges) / 2, bottom + 0.7 * _FOOT), legend, size=_TEXT, side="m")


def _shade(share: float) -> tuple[int, int, int]:
    """White for nothing, dark blue for all."""
    red, green, blue = (round(255 - share * (255 - full)) for full in _FULL)
    return red, green, blue


def _short(value: float) -> str:
    """A number with k or M in the place of noughts."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
