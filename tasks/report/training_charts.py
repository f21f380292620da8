"""The training part of the report: curves, schedule, what the stop rules said, and what it all took."""

from collections.abc import Iterator, Sequence
from typing import Any

from params.run import RunParams
from tasks.report.expenditure import Expenditure, expenditure
from tasks.report.markup import Html, Part, details, figure, join, table, tag
from tasks.report.numerals import duration, short
from tasks.report.numerals import figure as number
from tasks.report.plots import Line, Mark, Point, line_chart, thinned
from tasks.report.results import RunResults, Training, read_json
from tasks.report.words import VERDICTS, Said, Words, figure_words
from tasks.training.metrics import METRICS, WRITTEN

_MAX_MARKS = 6
_FEW = 60
"""Points that are drawn as they are."""
_STEP = Words("step", "步")
_SETTINGS = (
    ("model_type", Words("architecture", "架构")),
    ("num_hidden_layers", Words("layers", "层数")),
    ("hidden_size", Words("width", "宽度")),
    ("num_attention_heads", Words("heads", "注意力头")),
    ("num_key_value_heads", Words("key/value heads", "键值头")),
    ("intermediate_size", Words("feed-forward width", "前馈宽度")),
    ("max_position_embeddings", Words("context", "上下文长度")),
    ("vocab_size", Words("vocabulary", "词表大小")),
)
_LOSS_UNITS = {
    "classify": Words("nats per text", "纳特/文本"),
    "preference": Words("nats per pair", "纳特/对"),
}
"""Of objectives whose targets are no tokens."""
_DECIDED = {
    "stop": Words("ended", "结束"),
    "decay": Words("began to anneal", "开始退火"),
    "skip_step": Words("left out its update", "跳过更新"),
    "rewind": Words("went back", "回退"),
}
_STATES = {
    "fires": Words("fires", "触发"),
    "grace": Words("waits (grace)", "宽限期"),
    "quiet": Words("quiet", "未触发"),
    "unread": Words("unread", "未读取"),
}


def training_body(run: RunResults, settings: RunParams, other: RunResults | None = None) -> Html:
    """Every phase of training, beside the curve of another run where there is one."""
    theirs = {training.stage: training for training in other.trainings} if other is not None else {}
    parts: list[Part] = [_phase(training, theirs.get(training.stage)) for training in run.trainings]
    trained = [training.result for training in run.trainings if training.result is not None]
    if trained:
        parts.append(_taken(expenditure(trained, settings)))
    return join(parts)


def _phase(training: Training, other: Training | None) -> Html:
    head = [tag("h3", training.stage)] if "." in training.stage else []
    return join(
        [
            *head,
            tag("p", _end(training)),
            *_losses(training, other),
            tag("div", *_metrics(training), class_="charts small"),
            tag("div", *_rates(training), class_="charts small"),
            *_facts(training),
            *_rules(training),
        ]
    )


def _end(training: Training) -> Words:
    stop = training.stop
    if stop:
        verdict = VERDICTS.get(stop["verdict"], Words(stop["verdict"], stop["verdict"]))
        at = f"{stop['steps']:,}"
        return Words(
            f"Ended after step {at} by {stop['rule']}: {stop['reason']} ({verdict.en}).",
            f"第 {at} 步后由 {stop['rule']} 结束：{stop['reason']}（{verdict.zh}）。",
        )
    if training.decisions:
        step, decision, _ = training.decisions[-1]
        return Words(
            f"Broke at step {step:,}, {decision.rule} ({decision.verdict}): {decision.reason}.",
            f"在第 {step:,} 步中断，{decision.rule}（{decision.verdict}）：{decision.reason}。",
        )
    return Words("Training did not come to its end.", "训练未完成。")


def _losses(training: Training, other: Training | None) -> Iterator[Html]:
    losses = _series(training, "loss")
    if not losses:
        return
    validation = _series(training, "val_loss")
    spread = [
        (
            float(point["step"]),
            point["val_loss"] - 2 * point["val_loss_se"],
            point["val_loss"] + 2 * point["val_loss_se"],
        )
        for point in training.points
        if _is_number(point.get("val_loss")) and _is_number(point.get("val_loss_se"))
    ]
    lines = [
        *_trained(losses),
        Line(
            Words("validation, ± 2 standard errors", "验证（± 2 标准误）"), thinned(validation), 1, "dots", spread[-60:]
        ),
    ]
    if other is not None and (theirs := _series(other, "val_loss")):
        lines.append(Line(Words("validation of the other run", "对照运行的验证损失"), thinned(theirs), 6, "dashed"))
    yield figure(
        Words("Loss", "损失"),
        line_chart(lines, unit=_loss_unit(training), x_unit=_STEP, marks=_marks(training), height=300),
    )


def _loss_unit(training: Training) -> Words:
    return _LOSS_UNITS.get(str(training.params.get("objective")), Words("nats per token", "纳特/词元"))


def _trained(losses: list[Point]) -> list[Line]:
    """The training loss, smoothed where there are points enough to hide its course."""
    if len(losses) < _FEW:
        return [Line(Words("training", "训练"), losses, 0)]
    return [
        Line(Words("training, as logged", "训练（记录值）"), thinned(losses), 5, "faint"),
        Line(Words("training, smoothed", "训练（平滑）"), thinned(smoothed(losses)), 0),
    ]


def _metrics(training: Training) -> Iterator[Html]:
    """What an objective measures besides its loss."""
    names = (*METRICS.values(), *WRITTEN.values())
    for name in sorted(frozenset[str]().union(*names)):
        drawn = ((name, Words("training", "训练"), 0, "line"), (f"val_{name}", Words("validation", "验证"), 1, "dots"))
        lines = [
            Line(words, thinned(points), color, style)
            for key, words, color, style in drawn
            if (points := _series(training, key))
        ]
        if lines:
            yield figure(figure_words(name), line_chart(lines, unit="", x_unit=_STEP, height=150))


def _rates(training: Training) -> Iterator[Html]:
    """The small charts of how it went."""
    rates = training.stop.get("rates") or {}
    peak = ", ".join(f"{name} {rate:g}" for name, rate in rates.items() if rate is not None)
    note = Words(f"Peak rates: {peak}.", f"峰值学习率：{peak}。") if peak else None
    charts: tuple[tuple[str, Words, Said, int, Words | None], ...] = (
        (
            "lr_factor",
            Words("Learning rate schedule", "学习率日程"),
            Words("share of the peak", "占峰值的比例"),
            2,
            note,
        ),
        ("grad_norm", Words("Gradient norm", "梯度范数"), "", 4, None),
        ("tokens_per_s", Words("Speed", "速度"), Words("tokens per second", "词元/秒"), 0, None),
    )
    for key, title, unit, color, below in charts:
        if points := thinned(_series(training, key)):
            chart = line_chart([Line(title, points, color)], unit=unit, x_unit=_STEP, from_zero=True, height=150)
            yield figure(title, chart, note=below)


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Exponential mean over about a thirtieth of the points, its start corrected (Kingma and Ba 2015, section 3)."""
    keep = 1 - 1 / max(3.0, len(points) / 30)
    mean, weight, found = 0.0, 0.0, []
    for x, y in points:
        mean, weight = keep * mean + (1 - keep) * y, keep * weight + (1 - keep)
        found.append((x, mean / weight))
    return found


def _marks(training: Training) -> list[Mark]:
    """What the stop rules decided, the last few of it."""
    marks = []
    for step, decision, what in training.decisions[-_MAX_MARKS:]:
        done = _DECIDED.get(what, Words(what, what))
        words = Words(f"step {step:,}: {done.en}, {decision.rule}", f"第 {step:,} 步：{done.zh}，{decision.rule}")
        marks.append(Mark(float(step), words))
    return marks


def _facts(training: Training) -> Iterator[Html]:
    config = training.result and _config(training)
    if not config:
        return
    assert training.result is not None
    counts, facts = training.result.metrics.counts, training.result.metrics.facts
    rows: list[tuple[Part, str]] = [(Words("parameters", "参数量"), f"{counts['parameters']:,}")]
    rows += [(words, number(config[key])) for key, words in _SETTINGS if config.get(key) is not None]
    rows += [(Words("tokens", "训练词元"), f"{counts['tokens']:,}")]
    rows += [(Words("passes over the text", "遍历文本次数"), number(training.result.metrics.values["epochs"], 3))]
    rows += [(Words("precision", "精度"), facts.get("precision", "–"))]
    yield details(Words("Model and training in numbers", "模型与训练的数字"), definitions(rows))


def _config(training: Training) -> dict[str, Any]:
    return read_json(training.folder / "model" / "config.json") or {}


def _rules(training: Training) -> Iterator[Html]:
    rows: list[list[Part]] = [
        [
            reading.rule,
            _STATES[reading.word],
            reading.text,
            number(reading.value),
            number(reading.threshold),
            f"{reading.step:,}",
        ]
        for reading in training.readings
    ]
    if rows:
        head = [Words("rule", "规则"), Words("state", "状态"), Words("how it stood", "情况"), Words("value", "值")]
        head += [Words("threshold", "阈值"), _STEP]
        yield details(Words("Stop rules at the end", "结束时的停止规则"), table(head, rows, words=3))


def _taken(found: Expenditure) -> Html:
    energy = "–" if found.kilowatt_hours is None else f"{found.kilowatt_hours:.3g} kWh ({found.watts:g} W)"
    cost = "–" if found.cost is None else f"{found.cost:.3g} ({found.price_per_hour:g} / h)"
    rows: list[tuple[Part, Part]] = [
        (Words("hardware", "硬件"), found.hardware),
        (Words("time", "时间"), duration(found.seconds)),
        (Words("arithmetic", "计算量"), [f"{short(found.flops)}FLOP; ", found.flops_from]),
        (Words("energy, estimated", "能耗（估计）"), [f"{energy}; ", found.watts_from]),
        (Words("cost, estimated", "费用（估计）"), [f"{cost}; ", found.price_from]),
    ]
    return join([tag("h3", Words("What training took", "训练的消耗")), definitions(rows)])


def definitions(rows: Sequence[tuple[Part, Part]]) -> Html:
    """Names and what they are."""
    return tag("dl", *(join([tag("dt", name), tag("dd", value)]) for name, value in rows))


def _series(training: Training, key: str) -> list[Point]:
    return [(float(p["step"]), float(p[key])) for p in training.points if _is_number(p.get(key))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")
