"""The run part of the report: how it ended, how long its stages took, what they were made of."""

from collections.abc import Iterator

import yaml

from tasks.report.bars import Bar, bar_chart
from tasks.report.markup import Html, Part, details, figure, join, table, tag
from tasks.report.numerals import duration, short, size
from tasks.report.results import RunResults, read_json
from tasks.report.training_charts import definitions
from tasks.report.words import STATUSES, VERDICTS, Words, stage_words

_GOOD = ("completed",)


def head_of(run: RunResults) -> Html:
    """Status, what went wrong, and the key numbers."""
    record = run.record
    status = tag("span", STATUSES[record.status], class_=f"badge {'good' if record.status in _GOOD else 'bad'}")
    verdicts = [_verdict(run)] if run.trainings and run.trainings[-1].stop else []
    about = tag("p", status, " ", *verdicts, f" {record.preset} · {record.started_at.replace('T', ' ')}", class_="note")
    told = (
        [tag("div", tag("p", tag("b", _trouble(run))), tag("pre", record.error or ""), class_="trouble")]
        if record.error
        else []
    )
    gone = [tag("p", _gone(run.gone), class_="note")] if run.gone else []
    tiles = [tag("li", tag("b", value), tag("span", name)) for name, value in _tiles(run)]
    return join([about, *told, *gone, tag("ul", *tiles, class_="tiles")])


def stages_body(run: RunResults) -> Html:
    """Times and peak memory of the stages, and what each made."""
    made = {stage: run.results[stage].timing for stage in run.record.stages if stage in run.results}
    times = [
        Bar(stage_words(stage), [(7 if run.record.stages[stage].reused else 0, timing.work_s)], duration(timing.work_s))
        for stage, timing in made.items()
    ]
    memory = [
        Bar(
            stage_words(stage),
            [(7 if run.record.stages[stage].reused else 4, timing.peak_rss_mb)],
            size(1e6 * timing.peak_rss_mb),
        )
        for stage, timing in made.items()
    ]
    reused = any(done.reused for done in run.record.stages.values())
    legend: list[tuple[int, Part]] = [
        (0, Words("made now", "本次生成")),
        (7, Words("reused: when it was made", "复用：生成时的数值")),
    ]
    charts = [
        figure(Words("Time of the stages", "各阶段用时"), bar_chart(times, legend=legend if reused else ())),
        figure(Words("Peak memory", "内存峰值"), bar_chart(memory)),
    ]
    rows: list[list[Part]] = [
        [stage_words(stage), _outcome(run, stage), run.results[stage].metrics.headline or "–"] for stage in made
    ]
    head = [Words("stage", "阶段"), Words("result", "结果"), Words("what it made", "产出")]
    what = details(Words("What each stage made", "各阶段的产出"), table(head, rows, words=3))
    return join([tag("div", *charts, class_="charts"), what] if made else [])


def lineage_body(run: RunResults) -> Html:
    """Sources, recipes and digests, and every parameter."""
    parts: list[Part] = [definitions(list(_identity(run)))]
    lineage = read_json(run.bundle / "lineage.json") if run.bundle is not None else None
    if lineage is not None:
        rows = [
            [s["name"], s["license"], _digest(str(s.get("digest", "–"))), f"{s['files']:,}", size(s["bytes"])]
            for s in lineage["sources"]
        ]
        head = [
            Words("source", "来源"),
            Words("licence", "许可证"),
            Words("digest of its files", "文件摘要"),
            Words("files", "文件"),
            Words("size", "大小"),
        ]
        parts += [tag("h3", Words("Sources", "来源")), table(head, rows, words=3)]
    for stage, result in run.results.items():
        inputs = ", ".join(f"{name} {one.digest[:12]}" for name, one in result.inputs.items())
        facts: list[tuple[Part, Part]] = [
            (Words("recipe", "配方"), tag("code", result.fingerprint)),
            (Words("digest", "摘要"), tag("code", result.digest)),
            (Words("inputs", "输入"), tag("code", inputs or "–")),
            (Words("made by", "生成环境"), ", ".join(f"{key} {value}" for key, value in result.made_by.items())),
        ]
        params = yaml.safe_dump(result.params, sort_keys=False, allow_unicode=True)
        parts.append(details(stage_words(stage), definitions(facts), tag("pre", params)))
    return join(parts)


def _digest(text: str) -> Html:
    """Its beginning; the whole under the pointer."""
    return tag("code", text[:16], title=text)


def _verdict(run: RunResults) -> Html:
    verdict = run.trainings[-1].stop["verdict"]
    return tag("span", VERDICTS.get(verdict, verdict), class_=f"badge {'bad' if verdict == 'broken' else 'good'}")


def _trouble(run: RunResults) -> Words:
    done = list(run.record.stages)
    after = f" after {done[-1]}" if done else ""
    return Words(
        f"The run ended{after}:", f"运行中止{'，最后完成的阶段：' + stage_words(done[-1]).zh if done else ''}："
    )


def _gone(stages: list[str]) -> Words:
    names = ", ".join(stages)
    return Words(f"Results removed since, and not shown: {names}.", f"以下结果已被清理，未显示：{names}。")


def _tiles(run: RunResults) -> Iterator[tuple[Words, str]]:
    counts = {stage: result.metrics.counts for stage, result in run.results.items()}
    values = {stage: result.metrics.values for stage, result in run.results.items()}
    if "dedup" in counts:
        yield Words("documents kept", "保留文档"), f"{counts['dedup']['docs_kept']:,}"
    if "shard" in counts:
        yield Words("training tokens at hand", "可用训练词元"), short(counts["shard"]["train_tokens"])
    trained = [training.result for training in run.trainings if training.result is not None]
    if trained:
        yield Words("parameters", "参数量"), short(trained[-1].metrics.counts["parameters"])
        yield Words("tokens trained on", "训练词元"), short(sum(one.metrics.counts["tokens"] for one in trained))
        yield Words("validation loss", "验证损失"), f"{trained[-1].metrics.values['final_val_loss']:.3f}"
    if (bits := values.get("evaluate", {}).get("test.bits_per_byte")) is not None:
        yield Words("test bits per byte", "测试每字节比特数"), f"{bits:.3f}"
    if (accuracy := values.get("evaluate", {}).get("classification.accuracy")) is not None:
        yield Words("held-out accuracy", "留出准确率"), f"{accuracy:.1%}"
    served = run.results["release"].metrics.facts.get("served") if "release" in run.results else None
    if served and f"{served}_bytes" in counts.get("compress", {}):
        yield Words(f"{served}, served", f"{served}（对外服务）"), size(counts["compress"][f"{served}_bytes"])
    if run.seconds is not None:
        yield Words("whole run", "总用时"), duration(run.seconds)


def _outcome(run: RunResults, stage: str) -> Words:
    return Words("reused", "复用") if run.record.stages[stage].reused else Words("made", "生成")


def _identity(run: RunResults) -> Iterator[tuple[Part, Part]]:
    record = run.record
    yield Words("run", "运行"), record.run_id
    yield Words("preset", "预设"), record.preset
    if record.overrides:
        yield Words("laid over it", "覆盖项"), tag("pre", yaml.safe_dump(record.overrides, allow_unicode=True))
    if record.model_version:
        yield Words("model version", "模型版本"), record.model_version
    if record.mlflow_run_id:
        yield "MLflow", record.mlflow_run_id
