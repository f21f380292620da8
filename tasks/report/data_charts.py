"""The data part of the report: what came in, what was dropped and why, how long and in which languages it is."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.artifacts.manifest import part_of, work_of
from tasks.report.bars import Bar, bar_chart
from tasks.report.documents import SELECTING, Measured, bin_labels, count_rejected, measure_documents, reasons_of
from tasks.report.markup import Html, Part, details, figure, join, table, tag
from tasks.report.numerals import share, size
from tasks.report.plots import histogram
from tasks.report.results import RunResults
from tasks.report.words import ACTIONS, LANGUAGES, SCRIPTS, Words, stage_words

_KEPT, _DROPPED, _OTHERS = 2, 3, 6
_NUM_COLORS = 6
_SHOWN_RULES = 14


def data_body(run: RunResults) -> Html:
    """Charts and tables of the data stages."""
    before = measure_documents(run.results["ingest"]) if _is_here(run, "ingest", "kept/*.arrow") else None
    after = _last_documents(run)
    charts = [*_funnel(run), *_reasons(run), *_lengths(run, before, after), *_languages(after), *_tokenizer(run)]
    return join([tag("div", *charts, class_="charts"), *_sources(run), *_examples(run), *_removed(run)])


def _funnel(run: RunResults) -> Iterator[Html]:
    stages = [stage for stage in SELECTING if "docs_in" in _counts(run, stage)]
    if not stages:
        return
    first = _counts(run, stages[0])["docs_in"]
    bars = [Bar(Words("records read", "读入的记录"), [(_OTHERS, first)], f"{first:,}")]
    for stage in stages:
        counts = _counts(run, stage)
        kept, dropped = counts["docs_kept"], counts["docs_rejected"]
        bars.append(Bar(stage_words(stage), [(_KEPT, kept), (_DROPPED, dropped)], f"{kept:,} (-{dropped:,})"))
    legend = [(_KEPT, Words("kept", "保留")), (_DROPPED, Words("dropped", "丢弃"))]
    last = _counts(run, stages[-1])["docs_kept"]
    note = Words(
        f"{share(last, first)} of all records are left at the end.", f"最终保留全部记录的 {share(last, first)}。"
    )
    yield figure(Words("Documents through the stages", "文档经过各阶段"), bar_chart(bars, legend=legend), note=note)


def _reasons(run: RunResults) -> Iterator[Html]:
    """Rules that dropped most, each bar by source where the stage says so."""
    sources = _source_names(run)
    colors = {name: min(at, _NUM_COLORS) for at, name in enumerate(sources)}
    found = list(_dropped(run))
    totals = Counter({(stage, rule): sum(parts.values()) for stage, rule, parts in found})
    bars = []
    for (stage, rule), count in totals.most_common(_SHOWN_RULES):
        parts = next(parts for at_stage, at_rule, parts in found if (at_stage, at_rule) == (stage, rule))
        colored = sorted((colors.get(source, _OTHERS), docs) for source, docs in parts.items())
        bars.append(
            Bar(join([tag("code", rule), " ", tag("span", stage_words(stage), class_="stage")]), colored, f"{count:,}")
        )
    if not bars:
        return
    shown = {color for bar in bars for color, _ in bar.parts}
    legend: list[tuple[int, Part]] = [(at, name) for at, name in enumerate(sources[:_NUM_COLORS]) if at in shown]
    if _OTHERS in shown:
        legend.append((_OTHERS, Words("other sources", "其他来源")))
    rest = sum(totals.values()) - sum(count for _, count in totals.most_common(_SHOWN_RULES))
    note = Words(f"{rest:,} more by other rules.", f"其他规则另丢弃 {rest:,} 篇。") if rest else None
    rows: list[list[Part]] = [
        [rule, stage_words(stage), *(f"{parts.get(s, 0):,}" for s in sources), f"{sum(parts.values()):,}"]
        for stage, rule, parts in sorted(found, key=lambda item: -sum(item[2].values()))
    ]
    head: list[Part] = [Words("rule", "规则"), Words("stage", "阶段"), *sources, Words("all", "合计")]
    every = details(Words("All rules by source", "全部规则，按来源"), table(head, rows, words=2))
    title = Words("Why documents were dropped", "文档为何被丢弃")
    yield figure(title, bar_chart(bars, legend=legend), every, note=note)


def _dropped(run: RunResults) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Stage, rule and documents by source."""
    for stage in SELECTING:
        if _is_here(run, stage, "rejected/*.arrow"):
            found: dict[str, dict[str, int]] = {}
            for (source, rule), docs in count_rejected(run.results[stage]).items():
                found.setdefault(rule, {})[source] = docs
            yield from ((stage, rule, parts) for rule, parts in found.items())
        elif stage in run.results:
            yield from ((stage, rule, {"": docs}) for rule, docs in reasons_of(_counts(run, stage)).items())


def _lengths(run: RunResults, before: Measured | None, after: Measured | None) -> Iterator[Html]:
    if before is None or not before.docs:
        return
    series = [(Words("read", "读入"), 7, _shares(before))]
    if after is not None and after.docs:
        used = _counts(run, "decontaminate").get("train_docs", after.docs)
        scale = used / max(_counts(run, "ingest")["docs_kept"], 1)
        series.append((Words("used", "使用"), 0, [value * scale for value in _shares(after)]))
    shown = _occupied([values for _, _, values in series])
    edges = bin_labels()[shown.start : shown.stop + 1]
    cut = [(name, color, values[shown]) for name, color, values in series]
    yield figure(
        Words("Length of documents", "文档长度"),
        histogram(edges, cut, unit=Words("% of the documents read", "占读入文档的 %"), x_unit="UTF-8"),
        note=_sampled(before, after),
    )


def _languages(after: Measured | None) -> Iterator[Html]:
    if after is None or not after.bytes:
        return
    bars = [
        Bar(LANGUAGES.get(name, name), [(0, num_bytes)], f"{share(num_bytes, after.bytes)}, {size(num_bytes)}")
        for name, num_bytes in after.by_language.most_common(_SHOWN_RULES)
    ]
    letters = sum(after.scripts.values())
    scripts = [
        Bar(SCRIPTS[name], [(5, count)], share(count, letters)) for name, count in after.scripts.most_common() if count
    ]
    below = [tag("h3", Words("Letters by script", "按文字系统")), bar_chart(scripts)] if scripts else []
    yield figure(Words("Languages of the documents used", "所用文档的语言"), bar_chart(bars), *below)


def _tokenizer(run: RunResults) -> Iterator[Html]:
    report = run.json("train_tokenizer", "report.json")
    if not report or not report.get("held_out"):
        return
    groups = [(Words("all", "全部"), 6, report["held_out"])]
    groups += [(LANGUAGES.get(name, name), 0, found) for name, found in (report.get("by_language") or {}).items()]
    groups += [(name, 5, found) for name, found in (report.get("by_source") or {}).items()]
    bars = [
        Bar(name, [(color, found["bytes_per_token"])], f"{found['bytes_per_token']:.2f}")
        for name, color, found in groups
    ]
    unused = f"{report['num_unused']:,} / {report['vocab_size']:,}"
    legend = [(0, Words("languages", "语言")), (5, Words("sources", "来源"))]
    note = Words(f"On held-out text. Entries never used: {unused}.", f"在留出文本上测得。从未使用的词表项：{unused}。")
    title = Words("Tokenizer: bytes per token", "分词器：每词元字节数")
    yield figure(title, bar_chart(bars, legend=legend), note=note)


def _sources(run: RunResults) -> Iterator[Html]:
    found = run.json("clean", "report.json") or {}
    files = _counts(run, "survey")
    rows = []
    for name, tally in sorted((found.get("by_source") or {}).items()):
        kept = f"{tally['docs_kept']:,} ({share(tally['docs_kept'], tally['docs_in'])})"
        read, left = size(files.get(f"bytes.{name}", 0)), size(tally["bytes_kept"])
        rows.append([name, f"{files.get(f'files.{name}', 0):,}", read, f"{tally['docs_in']:,}", kept, left])
    if rows:
        head = [Words("source", "来源"), Words("files", "文件"), Words("size", "大小"), Words("documents", "文档")]
        head += [Words("kept by clean", "清洗后保留"), Words("clean text", "清洗后文本")]
        yield join([tag("h3", Words("Sources", "来源")), table(head, rows)])


def _examples(run: RunResults) -> Iterator[Html]:
    """What phases learned from beside text, and why rows were set aside."""
    rows = []
    for stage, made in run.results.items():
        if work_of(stage) == "encode":
            counts = made.metrics.counts
            names = ("examples_in", "train_examples", "validation_examples", "examples_rejected")
            why = ", ".join(f"{count:,} {rule}" for rule, count in reasons_of(counts).items()) or "–"
            rows.append([part_of(stage), *(f"{counts[name]:,}" for name in names), why])
    if rows:
        head = [Words("examples of", "样例所属阶段"), Words("rows", "行数"), Words("learned from", "用于学习")]
        head += [Words("held out", "留出"), Words("set aside", "剔除"), Words("why", "原因")]
        yield join([tag("h3", Words("Examples", "样例")), table(head, rows)])


def _removed(run: RunResults) -> Iterator[Html]:
    """Personal data, and what else was taken out of documents that stayed."""
    found = run.json("clean", "report.json") or {}
    cleaned = run.results.get("clean")
    actions = (cleaned.params.get("privacy") or {}) if cleaned is not None else {}
    personal = Counter(found.get("personal_data") or {})
    rows = [[kind, ACTIONS.get(actions.get(kind, ""), ""), f"{count:,}"] for kind, count in personal.most_common()]
    if rows:
        head = [Words("kind", "类别"), Words("what was done", "处理"), Words("found", "发现次数")]
        title = Words("Personal data in kept documents", "保留文档中的个人信息")
        yield join([tag("h3", title), table(head, rows, words=2)])
    taken = [[rule, f"{part['lines']:,}", size(part["bytes"])] for rule, part in (found.get("removed") or {}).items()]
    if taken:
        head = [Words("by", "原因"), Words("lines", "行数"), Words("bytes", "字节数")]
        title = Words("Taken out of kept documents", "从保留文档中去除的内容")
        yield join([tag("h3", title), table(head, taken)])


def _last_documents(run: RunResults) -> Measured | None:
    """The documents that are used, of the last stage that has any."""
    for stage, pattern in (("decontaminate", "train/*.arrow"), ("dedup", "kept/*.arrow"), ("clean", "kept/*.arrow")):
        if stage in run.results:
            here = _is_here(run, stage, pattern)
            return measure_documents(run.results[stage], pattern, scripts=True) if here else None
    return None


def _is_here(run: RunResults, stage: str, pattern: str) -> bool:
    """Whether the documents of a stage lie on this machine: for a chart none are fetched from a shared store."""
    return stage in run.results and run.results[stage].is_here(pattern)


def _counts(run: RunResults, stage: str) -> dict[str, int]:
    return run.results[stage].metrics.counts if stage in run.results else {}


def _source_names(run: RunResults) -> list[str]:
    return [key.removeprefix("files.") for key in _counts(run, "survey") if key.startswith("files.")]


def _shares(measured: Measured) -> list[float]:
    return [100 * count / measured.docs for count in measured.lengths]


def _occupied(series: Sequence[Sequence[float]]) -> slice:
    """From the first to the last bin that holds anything."""
    filled = [at for at, values in enumerate(zip(*series, strict=True)) if any(values)]
    return slice(filled[0], filled[-1] + 1)


def _sampled(*parts: Measured | None) -> Words | None:
    if not any(part is not None and part.is_sample for part in parts):
        return None
    docs = sum(part.docs for part in parts if part is not None)
    return Words(
        f"Measured on {docs:,} documents of shards spread evenly.", f"在均匀抽取的分片共 {docs:,} 篇文档上测得。"
    )
