"""Two runs side by side: the same documents by a paired bootstrap, and their figures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.evaluation.figures import Bootstrap, bootstrap_ratio
from tasks.evaluation.losses import Floats
from tasks.report.bars import Interval, interval_chart
from tasks.report.markup import Html, Part, figure, join, table, tag
from tasks.report.numerals import figure as number
from tasks.report.results import RunResults
from tasks.report.words import Words, documents, stage_words

_FEW = 10
"""Documents: of fewer an interval shows nothing."""
_BOOTSTRAP = Bootstrap(samples=1_000, confidence=0.95, seed=1)
_FIGURES = (
    ("clean", "docs_kept"),
    ("shard", "train_tokens"),
    ("train_tokenizer", "bytes_per_token"),
    ("train", "parameters"),
    ("train", "tokens"),
    ("train", "final_val_loss"),
    ("train", "training_s"),
    ("evaluate", "test.bits_per_byte"),
    ("evaluate", "test.perplexity"),
    ("evaluate", "classification.accuracy"),
    ("evaluate", "classification.macro_f1"),
)


@dataclass(frozen=True)
class Paired:
    """Bits per byte of two runs on the documents that both were measured on; below nought this run is better."""

    name: str
    docs: int
    change: float
    low: float
    high: float


def comparison_body(run: RunResults, other: RunResults, *, role: Words) -> Html:
    """How this run stands to another one."""
    pairs = list(paired(run, other))
    title = Words(f"Against {other.record.run_id} ({role.en})", f"对照 {other.record.run_id}（{role.zh}）")
    parts: list[Part] = [tag("p", title)]
    if pairs:
        rows = [
            Interval(
                Words("all", "全部") if not pair.name else pair.name,
                pair.change, pair.low, pair.high,
                join([f"{pair.change:+.4f}", ", ", documents(pair.docs)]),
                _color(pair),
            )
            for pair in pairs
        ]  # fmt: skip
        legend: list[tuple[int, Part]] = [
            (2, Words("this run is better", "本次更好")),
            (3, Words("it is worse", "本次更差")),
            (6, Words("no difference shown", "差异不显著")),
        ]
        sure = f"{_BOOTSTRAP.confidence:.0%}"
        note = Words(
            f"Paired bootstrap over the test documents of both, {sure} intervals; left of the line: better.",
            f"对两次运行共有的测试文档做配对自助抽样，{sure} 区间；虚线左侧为更好。",
        )
        chart = interval_chart(rows, legend=legend, zero=True)
        parts.append(
            figure(
                Words("Change of bits per byte on the same documents", "同一批文档上每字节比特数的变化"),
                chart,
                note=note,
            )
        )
    else:
        parts.append(tag("p", Words("They share no test document.", "两次运行没有共同的测试文档。")))
    return join([*parts, _figures(run, other)])


def paired(run: RunResults, other: RunResults) -> Iterator[Paired]:
    """All common test documents, then those of each source where there are several."""
    mine, theirs = _losses(run), _losses(other)
    common = [key for key in mine if key in theirs]
    if not common:
        return
    sources = np.array([mine[key][0] for key in common])
    saved = np.array([mine[key][1] - theirs[key][1] for key in common])
    sizes = np.array([float(key[1]) for key in common])
    yield _resampled("", saved, sizes)
    names = sorted(set(sources.tolist()))
    for name in names if len(names) > 1 else []:
        chosen = sources == name
        yield _resampled(name, saved[chosen], sizes[chosen])


def _resampled(name: str, saved: Floats, sizes: Floats) -> Paired:
    """Documents are drawn anew, both losses of each together (Koehn 2004)."""
    low, high = bootstrap_ratio(saved, sizes, _BOOTSTRAP)
    bits = math.log(2)
    return Paired(name, len(saved), float(saved.sum() / sizes.sum()) / bits, low / bits, high / bits)


def _losses(run: RunResults) -> dict[tuple[str, int], tuple[str, float]]:
    """By id and measured bytes of a test document: its source, and its loss in nats."""
    path = _documents(run)
    if path is None:
        return {}
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    columns = (table.column(name).to_pylist() for name in ("id", "num_bytes", "source", "nats"))
    return {(name, size): (source, nats) for name, size, source, nats in zip(*columns, strict=True) if size}


def _documents(run: RunResults) -> Path | None:
    result = run.results.get("evaluate")
    path = None if result is None else result.file("documents/test.arrow")
    return path if path is not None and path.exists() else None


def _figures(run: RunResults, other: RunResults) -> Html:
    rows: list[list[Part]] = []
    for stage, name in _FIGURES:
        mine, theirs = _figure(run, stage, name), _figure(other, stage, name)
        if mine is not None and theirs is not None:
            change = f"{100 * (mine - theirs) / theirs:+.2f} %" if theirs else "–"
            label = Words(f"{stage}: {name.replace('_', ' ')}", f"{stage_words(stage).zh}：{name.replace('_', ' ')}")
            rows.append([label, number(mine), number(theirs), change])
    head = [Words("figure", "指标"), Words("this run", "本次"), Words("the other", "对照"), Words("change", "变化")]
    return table(head, rows)


def _figure(run: RunResults, stage: str, name: str) -> float | None:
    result = run.results.get(stage)
    if result is None and stage == "train" and run.trainings:
        result = run.trainings[-1].result
    if result is None:
        return None
    return result.metrics.values.get(name, result.metrics.counts.get(name))


def _color(pair: Paired) -> int:
    if pair.docs < _FEW:
        return 6
    if pair.high < 0:
        return 2
    return 3 if pair.low > 0 else 6
