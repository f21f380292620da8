"""The card's sections on data and training."""

from collections.abc import Iterator, Mapping
from functools import partial

from params.privacy import PrivacyParams
from tasks.artifacts.manifest import part_of
from tasks.registry.markdown import row
from tasks.registry.story import Story
from tasks.report.documents import SELECTING, reasons_of
from tasks.report.numerals import duration, share
from tasks.report.words import (
    ACTIONS,
    LANGUAGES,
    SCRIPTS,
    VERDICTS,
    Language,
    Words,
    choose,
    figure_words,
    said,
    stage_words,
)

_SHAPES = {
    Words("layers", "层数"): ("num_hidden_layers", "n_layer"),
    Words("width", "宽度"): ("hidden_size", "n_embd"),
    Words("heads", "注意力头"): ("num_attention_heads", "n_head"),
    Words("context", "上下文长度"): ("max_position_embeddings", "n_positions"),
    Words("vocabulary", "词表"): ("vocab_size",),
}


def data_lines(story: Story, language: Language) -> Iterator[str]:
    """Sources, what was dropped by which rule, personal data, languages, tokens."""
    t = partial(choose, language)
    yield from row(
        (t("source", "来源"), t("licence", "许可证"), t("files", "文件"), t("bytes", "字节"), "SHA-256"), "llrrl"
    )
    for source in story.sources:
        digest = str(source.get("digest", ""))[:16]
        figures = (f"{source['files']:,}", f"{source['bytes']:,}")
        yield from row((source["name"], source["license"], *figures, f"`{digest}`" if digest else "-"))
    yield ""
    head = (
        t("stage", "阶段"),
        t("documents in", "输入文档"),
        t("kept", "保留"),
        t("dropped", "丢弃"),
        t("why", "原因"),
    )
    yield from row(head, "lrrrl")
    for stage in SELECTING:
        counts = story.counts(stage)
        if "docs_in" in counts:
            came, kept, dropped = (f"{counts[key]:,}" for key in ("docs_in", "docs_kept", "docs_rejected"))
            yield from row((said(stage_words(stage), language), came, kept, dropped, _reasons(counts)))
    yield from _personal(story, language)
    yield from _languages(story, language)
    counts = story.counts("shard")
    splits = [split for split in ("train", "validation", "test") if f"{split}_docs" in counts]
    if splits:
        yield ""
        documents = ", ".join(
            f"{counts[f'{split}_docs']:,} ({said(figure_words(split), language)})" for split in splits
        )
        tokens = f"{counts['train_tokens']:,}"
        yield t(
            f"Documents: {documents}. Training text: {tokens} tokens.", f"文档：{documents}。训练文本：{tokens} 词元。"
        )
    yield from _examples(story, language)


def training_lines(story: Story, language: Language) -> Iterator[str]:
    """Architecture, curve, how it ended, and what it took."""
    t = partial(choose, language)
    config, stop = story.config, story.stop
    architecture = ", ".join(config.get("architectures") or [config["model_type"]])
    yield t(
        f"- architecture: {architecture}, {stop['parameters']:,} parameters",
        f"- 架构：{architecture}，参数量 {stop['parameters']:,}",
    )
    sizes = {label: next((config[n] for n in names if n in config), None) for label, names in _SHAPES.items()}
    yield "- " + ", ".join(f"{said(label, language)} {value:,}" for label, value in sizes.items() if value is not None)
    if len(story.phases) < 2:
        steps, tokens = f"{stop['steps']:,}", f"{stop['tokens']:,}"
        yield t(f"- {steps} steps, {tokens} tokens", f"- {steps} 步，{tokens} 词元")
    verdict = stop["verdict"]
    chinese = VERDICTS[verdict].zh if verdict in VERDICTS else verdict
    yield t(
        f"- ended by {stop['rule']}: {stop['reason']} (verdict: {verdict})",
        f"- 由 {stop['rule']} 结束：{stop['reason']}（结论：{chinese}）",
    )
    yield from _taken(story, language)
    yield from _phases(story, language)
    if story.curve:
        yield ""
        head = (t("step", "步"), t("tokens", "词元"), t("training loss", "训练损失"), t("validation loss", "验证损失"))
        yield from row(head, "rrrr")
        for point in story.curve:
            loss = f"{point['loss']:.4f}" if point.get("loss") is not None else "-"
            tokens = f"{point['tokens']:,}" if point.get("tokens") is not None else "-"
            yield from row((f"{point['step']:,}", tokens, loss, f"{point['val_loss']:.4f}"))


def _phases(story: Story, language: Language) -> Iterator[str]:
    """Each phase, where there are several; the curve is that of the last."""
    if len(story.phases) < 2:
        return
    t = partial(choose, language)
    yield ""
    head = (t("phase", "阶段"), t("objective", "目标"), t("steps", "步"), t("tokens", "词元"), t("ended by", "结束于"))
    yield from row(head, "llrrl")
    for phase in story.phases:
        counts, facts = phase.metrics.counts, phase.metrics.facts
        done = (f"{counts['steps']:,}", f"{counts['tokens']:,}")
        yield from row(
            (part_of(phase.stage), phase.params["objective"], *done, f"{facts['stop_rule']}: {facts['stop_reason']}")
        )
    yield ""
    last = part_of(story.phases[-1].stage)
    yield t(f"The curve of the phase {last}:", f"阶段 {last} 的曲线：")


def _examples(story: Story, language: Language) -> Iterator[str]:
    """What phases learned from beside text."""
    if not story.examples:
        return
    t = partial(choose, language)
    yield ""
    counted = (t("rows", "行数"), t("learned from", "用于学习"), t("held out", "留出"), t("set aside", "剔除"))
    yield from row((t("examples of", "样例所属阶段"), *counted, "SHA-256"), "lrrrrl")
    for made in story.examples:
        names = ("examples_in", "train_examples", "validation_examples", "examples_rejected")
        counts = (f"{made.metrics.counts[name]:,}" for name in names)
        digests = (f"`{source['path'][:16]}`" for source in made.params["sources"])
        yield from row((part_of(made.stage), *counts, ", ".join(digests)))


def _taken(story: Story, language: Language) -> Iterator[str]:
    found = story.taken
    if found is None:
        return

    t = partial(choose, language)
    yield t(f"- hardware: {found.hardware}", f"- 硬件：{found.hardware}")
    how = said(found.flops_from, language)
    yield t(f"- compute: {found.flops:.3g} FLOP ({how})", f"- 计算量：{found.flops:.3g} FLOP（{how}）")
    yield t(f"- time: {duration(found.seconds)}", f"- 时间：{duration(found.seconds)}")
    how = said(found.watts_from, language)
    energy = "-" if found.kilowatt_hours is None else f"{found.kilowatt_hours:.3g} kWh, {found.watts:g} W"
    yield t(f"- energy, estimated: {energy} ({how})", f"- 能耗（估计）：{energy}（{how}）")
    how = said(found.price_from, language)
    cost = "-" if found.cost is None else f"{found.cost:.3g}, {found.price_per_hour:g} / h"
    yield t(f"- cost, estimated: {cost} ({how})", f"- 费用（估计）：{cost}（{how}）")


def _personal(story: Story, language: Language) -> Iterator[str]:
    found = story.cleaned.get("personal_data") or {}
    cleaned = next((result for result in story.results if result.stage == "clean"), None)
    actions = (cleaned.params.get("privacy") if cleaned is not None else None) or {}
    if not found:
        return
    yield ""
    parts = [
        f"{count:,} {kind} ({said(ACTIONS[action], language)})"
        if (action := actions.get(kind))
        else f"{count:,} {kind}"
        for kind, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    known = [kind for kind in PrivacyParams.model_fields if kind != "placeholder"]
    if language == "en":
        yield f"Personal data found in kept documents: {', '.join(parts)}. Looked for: {', '.join(known)}."
    else:
        yield f"保留文档中发现的个人信息：{'，'.join(parts)}。检查的类别：{'、'.join(known)}。"


def _languages(story: Story, language: Language) -> Iterator[str]:
    titles = (
        (story.languages, Words("Languages by bytes", "语言（按字节）")),
        (story.scripts, Words("Scripts by letters", "文字系统（按字母）")),
    )
    for shares, title in titles:
        if shares:
            named = [
                f"{said((LANGUAGES | SCRIPTS).get(name, name), language)} {share(part, 1)}"
                for name, part in shares.items()
            ]
            yield ""
            yield f"{said(title, language)}{': ' if language == 'en' else '：'}{', '.join(named)}"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {rule}" for rule, count in reasons_of(counts).items()) or "-"
