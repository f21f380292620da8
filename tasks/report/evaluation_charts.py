"""The evaluation part of the report: figures with their intervals, and every other section as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report.bars import Interval, interval_chart
from tasks.report.markup import Html, Part, details, figure, join, table, tag
from tasks.report.results import RunResults
from tasks.report.tabulation import tables_of
from tasks.report.words import LANGUAGES, Said, Words, documents, figure_words, said

FIGURE = "bits_per_byte"
SPLITS = ("validation", "test")
_GROUPS = {"by_source": 0, "by_language": 2}
DIGESTS = ("documents", "model")
"""Keys of evaluation.json that name the inputs."""


def evaluation_body(run: RunResults) -> Html:
    """A chart of each split, then all figures; the released file's own are beside the trained model's in the bundle."""
    report = run.json("release", "bundle/evaluation.json") or run.json("evaluate", "evaluation.json") or {}
    charts = [
        figure(
            Words(f"Bits per byte on the {split} documents", f"{said(figure_words(split), 'zh')}文档的每字节比特数"),
            interval_chart(list(_rows(report[split])), legend=_legend(report[split])),
            note=Words(
                "With bootstrap intervals over documents; lower is better.", "区间由按文档自助抽样得到；越低越好。"
            ),
        )
        for split in reversed(SPLITS)
        if FIGURE in (report.get(split) or {})
    ]
    plain = {key: value for key, value in report.items() if key not in DIGESTS}
    held_out = {key: value for key, value in plain.items() if key in SPLITS}
    others = {key: value for key, value in plain.items() if key not in SPLITS}
    parts = [tag("div", *charts, class_="charts")] if charts else []
    if held_out:
        parts.append(details(Words("All figures on held-out text", "留出文本上的全部指标"), *_tables(held_out)))
    return join([*parts, *_tables(others)])


def _rows(split: Mapping[str, Any]) -> Iterator[Interval]:
    yield _interval(Words("all", "全部"), split, 6)
    for group, color in _GROUPS.items():
        for name, found in (split.get(group) or {}).items():
            if FIGURE in found:
                yield _interval(LANGUAGES.get(name, name) if group == "by_language" else name, found, color)


def _interval(name: Said, found: Mapping[str, Any], color: int) -> Interval:
    value = float(found[FIGURE])
    low, high = (float(found.get(f"{FIGURE}_{end}", value)) for end in ("low", "high"))
    measured_on: list[Part] = [", ", documents(found["docs"])] if "docs" in found else []
    told = join([f"{value:.3f}", *measured_on])
    return Interval(name, value, low, high, told, color)


def _legend(split: Mapping[str, Any]) -> list[tuple[int, Words]]:
    return [(color, figure_words(group)) for group, color in _GROUPS.items() if split.get(group)]


def _tables(tree: Mapping[str, Any]) -> Iterator[Html]:
    for found in tables_of(tree):
        title = [part for at, name in enumerate(found.title) for part in ((", ", name) if at else (name,))]
        heading = [tag("h3", *title)] if title else []
        yield join([*heading, table(found.head, found.rows)])
