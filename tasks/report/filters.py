"""The report of the filters: measured values by rule, and what became of the documents of each source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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


_COLUMN_INCHES, _LABEL_INCHES = 8.5, 4.0
"""A fixed room for the names of rules: to find one that fits, matplotlib would draw everything twice."""


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

    Rules with the same bins share a picture: one map of colours takes a tenth of the time of a histogram for each.
    """
    groups: dict[tuple[float, ...], list[RuleReport]] = {}
    for rule in rules:
        groups.setdefault(tuple(rule.edges), []).append(rule)
    rows, columns = max((len(group) for group in groups.values()), default=1), max(len(groups), 1)
    width, height = _COLUMN_INCHES * columns, 0.24 * rows + 1.2
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for place, (edges, group) in enumerate(groups.items()):
        left, inner = (place * _COLUMN_INCHES + _LABEL_INCHES) / width, (_COLUMN_INCHES - _LABEL_INCHES - 0.2) / width
        _draw_map(figure.add_axes((left, 0.6 / height, inner, 1 - 0.8 / height)), edges, group)
    figure.savefig(path, dpi=100)


def _draw_map(axes: Axes, edges: Sequence[float], rules: Sequence[RuleReport]) -> None:
    """Colours go with the root of the share of documents, so that small bins can be seen."""
    shares = [[(count / max(sum(rule.counts), 1)) ** 0.5 for count in rule.counts] for rule in rules]
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    thresholds = np.interp([rule.threshold for rule in rules], edges, range(len(edges))) - 0.5
    axes.plot(thresholds, range(len(rules)), "|", color="#c8553d", markersize=11, markeredgewidth=2)
    signs = {"at_least": "≥", "at_most": "≤"}
    names = [f"{rule.name} {signs[rule.direction]} {rule.threshold:g}" for rule in rules]
    axes.set_yticks(range(len(rules)), names, fontsize=8)
    shown = range(0, len(edges), max(1, len(edges) // 8))
    axes.set_xticks([at - 0.5 for at in shown], [_short(edges[at]) for at in shown], fontsize=8)
    axes.set_xlabel("value (documents: darker is more; red: threshold)", fontsize=8)


def _short(value: float) -> str:
    """A number with k or M in the place of noughts."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
