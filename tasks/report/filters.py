"""The report of the filters: measured values by rule, and what became of the documents of each source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """One small histogram per rule with its threshold, as PNG."""
    columns = 4
    rows = -(-max(len(rules), 1) // columns)
    figure = Figure(figsize=(14, 2.2 * rows + 0.4))
    FigureCanvasAgg(figure)
    for index, rule in enumerate(rules):
        _draw_histogram(figure.add_subplot(rows, columns, index + 1), rule)
    figure.subplots_adjust(left=0.04, right=0.99, top=1 - 0.2 / rows, bottom=0.15 / rows, hspace=0.4, wspace=0.18)
    figure.savefig(path, dpi=100)


def _draw_histogram(axes: Axes, rule: RuleReport) -> None:
    axes.stairs(rule.counts, fill=True, color="#4c78a8")
    place = sum(edge <= rule.threshold for edge in rule.edges) - 1
    axes.axvline(place, color="#c8553d", linewidth=1.2)
    sign = "≥" if rule.direction == "at_least" else "≤"
    axes.set_title(f"{rule.name} {sign} {rule.threshold:g}", fontsize=8, loc="left")
    shown = range(0, len(rule.edges), max(1, len(rule.edges) // 5))
    axes.set_xticks(shown, [f"{rule.edges[at]:g}" for at in shown], fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
