"""The release part of the report: variants by quality, size and speed, the gate, and samples."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report.bars import Bar, bar_chart, key
from tasks.report.markup import Html, Part, details, figure, join, table, tag
from tasks.report.numerals import figure as number
from tasks.report.numerals import size
from tasks.report.plots import scatter
from tasks.report.results import RunResults, read_json
from tasks.report.words import Said, Words

_COLORS = 7
_CHANGE = Words("rise of the loss over fp32 (nats)", "相对 fp32 的损失增加（纳特）")
_COLUMNS = {
    "bytes": Words("size", "大小"),
    "loss_increase": Words("loss over fp32", "损失增加"),
    "kl": Words("KL", "KL 散度"),
    "top1_agreement": Words("same likeliest token", "首选词元一致"),
    "greedy_agreement": Words("same greedy text", "贪心文本一致"),
}


def variants_body(run: RunResults) -> Html:
    """Charts and a table of the variants, and the checks of the exported graph."""
    quality: dict[str, dict[str, Any]] = run.json("compress", "quality.json") or {}
    checks = (run.json("export", "checks.json") or {}).get("checks") or []
    parts: list[Part] = []
    if quality:
        parts += [tag("div", *_charts(run, quality), class_="charts"), _table(run, quality)]
    if checks:
        title = Words("Checks of the exported graph against the trained model", "导出图与训练模型的一致性检查")
        parts.append(details(title, checks_table(checks)))
    return join(parts)


def gate_body(run: RunResults) -> Html:
    """What was decided, and each check of the gate with what was found and what was asked."""
    checks = read_json(run.bundle / "gate.json") if run.bundle is not None else None
    if isinstance(checks, Mapping):
        checks = checks.get("checks")
    decision = [tag("p", run.record.decision)] if run.record.decision is not None else []
    return join([*decision, checks_table(checks or [])])


def samples_body(run: RunResults) -> Html:
    """What the released model writes, and what it wrote on its way."""
    samples = read_json(run.bundle / "samples.json") if run.bundle is not None else None
    boxes = [tag("div", tag("b", sample["prompt"]), tag("pre", sample["continuation"])) for sample in samples or []]
    return tag("div", *boxes, class_="samples")


def checks_table(checks: list[dict[str, Any]]) -> Html:
    """Name, value, limit and verdict of checks."""
    told = any(check.get("detail") for check in checks)
    rows = [
        [
            _outcome(bool(check["passed"])),
            str(check["name"]),
            *([str(check.get("detail") or "")] if told else []),
            number(check.get("value")),
            number(check.get("limit")),
        ]
        for check in checks
    ]
    detail = [Words("detail", "说明")] if told else []
    head: list[Part] = ["", Words("check", "检查"), *detail, Words("found", "实测"), Words("asked for", "要求")]
    return table(head, rows, words=2 + told)


def _outcome(passed: bool) -> Html:
    words = Words("✓ passed", "✓ 通过") if passed else Words("✗ failed", "✗ 未通过")
    return tag("span", words, class_="good" if passed else "bad")


def _charts(run: RunResults, quality: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    names = [name for name, found in quality.items() if "bytes" in found and "loss_increase" in found]
    legend = key([(at % _COLORS, name) for at, name in enumerate(names)])
    sizes: list[tuple[Said, tuple[float, float]]] = [
        (name, (quality[name]["bytes"] / 1e6, float(quality[name]["loss_increase"]))) for name in names
    ]
    speeds = {name: speed for name in names if (speed := _speed(run, name)) is not None}
    if sizes:
        chart = scatter(sizes, unit=_CHANGE, x_unit="MB")
        yield figure(Words("Quality against size", "质量与大小"), legend, chart)
        bars = [Bar(name, [(at % _COLORS, mb)], size(1e6 * mb)) for at, (name, (mb, _)) in enumerate(sizes)]
        yield figure(Words("Size", "大小"), bar_chart(bars))
    counted = _counted(run)
    if speeds:
        points: list[tuple[Said, tuple[float, float]]] = [
            (name, (speed, float(quality[name]["loss_increase"]))) for name, speed in speeds.items()
        ]
        unit = Words(f"{counted.en} per second, one text at a time", f"{counted.zh}/秒（单条文本）")
        chart = scatter(points, unit=_CHANGE, x_unit=unit)
        yield figure(Words("Quality against speed", "质量与速度"), legend, chart)
        bars = [Bar(name, [(names.index(name) % _COLORS, speed)], f"{speed:,.0f}") for name, speed in speeds.items()]
        yield figure(Words(f"Speed ({counted.en} per second)", f"速度（{counted.zh}/秒）"), bar_chart(bars))


def _table(run: RunResults, quality: Mapping[str, Mapping[str, Any]]) -> Html:
    served = run.results["release"].metrics.facts.get("served") if "release" in run.results else None
    rows: list[list[Part]] = []
    for name, found in quality.items():
        label: Part = [name, " ", tag("b", Words("(served)", "（对外服务）"))] if name == served else name
        if "rejected" in found:
            label = [name, " ", tag("span", Words("(not kept)", "（未保留）"), class_="bad")]
        cells = [size(found[key]) if key == "bytes" else number(found[key]) for key in _COLUMNS if key in found]
        rows.append([label, *cells, number(_speed(run, name), 0)])
    shown = [words for key, words in _COLUMNS.items() if all(key in found for found in quality.values())]
    counted = _counted(run)
    return table([Words("variant", "变体"), *shown, Words(f"{counted.en}/s", f"{counted.zh}/秒")], rows)


def _counted(run: RunResults) -> Words:
    """What speeds count: texts where they are labelled."""
    labels = any(name.endswith("_texts_per_s") for name in run.results["compress"].metrics.values)
    return Words("texts", "文本") if labels else Words("tokens", "词元")


def _speed(run: RunResults, name: str) -> float | None:
    values = run.results["compress"].metrics.values
    return values.get(f"{name}_decode_tokens_per_s", values.get(f"{name}_texts_per_s"))
