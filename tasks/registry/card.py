"""The model card in English and in Chinese, and the short README, written from what happened."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import yaml

from tasks.registry.card_data import data_lines, training_lines
from tasks.registry.markdown import cell, quoted, row
from tasks.registry.story import Story, Tree
from tasks.registry.usage import task_of, use_lines
from tasks.report.evaluation_charts import DIGESTS, SPLITS
from tasks.report.tabulation import tables_of
from tasks.report.words import Language, Words, choose, figure_words, said

CARDS: dict[str, Language] = {"MODEL_CARD.md": "en", "MODEL_CARD.zh-CN.md": "zh"}
"""File of the card in each language."""
_LABEL_METRICS = {"accuracy": "Accuracy", "macro_f1": "Macro F1"}
_METRICS = {"bits_per_byte": "Bits per byte", "loss": "Loss (nats per token)", "perplexity": "Perplexity"}
_KINDS = {
    "text-classification": Words("classifier", "分类模型"),
    "text2text-generation": Words("sequence-to-sequence model", "序列到序列模型"),
}
_MIN_SHARE = 0.01
"""Of the text, for a language to be named in the card's head."""


def model_card(story: Story, language: Language = "en") -> str:
    """MODEL_CARD.md, its head as the Hugging Face Hub reads it."""
    sections = (
        (Words("Use", "使用"), use_lines(story, language)),
        (Words("Data", "数据"), data_lines(story, language)),
        (Words("Training", "训练"), training_lines(story, language)),
        (Words("Evaluation", "评测"), _evaluation(story, language)),
        (Words("Variants", "变体"), _variants(story, language)),
        (Words("Gate", "发布门槛"), _gate(story, language)),
        (Words("Samples", "生成样例"), _samples(story)),
        (Words("Limits", "局限"), _limits(story, language)),
    )
    head = yaml.safe_dump(card_head(story), sort_keys=False, allow_unicode=True, width=1000)
    lines = ["---", head.rstrip(), "---", "", f"# {story.name}", "", _summary(story, language), ""]
    for title, body in sections:
        lines += [f"## {said(title, language)}", "", *body, ""]
    return "\n".join(lines).rstrip() + "\n"


def readme(story: Story) -> str:
    """README.md: how to run what lies here."""
    more = "More is in MODEL_CARD.md, in Chinese in MODEL_CARD.zh-CN.md."
    lines = [f"# {story.name}", "", _summary(story, "en"), "", *use_lines(story, "en"), "", more]
    return "\n".join(lines) + "\n"


def card_head(story: Story) -> dict[str, Any]:
    """The metadata of the card (huggingface.co/docs/hub/model-cards), figures included."""
    languages = [name for name, part in story.languages.items() if part >= _MIN_SHARE and name != "unknown"]
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": task_of(story)}
    if languages:
        head["language"] = languages
    if story.license is not None:
        head["license"] = story.license
    else:
        head |= {"license": "other", "license_name": "see-the-sources", "license_link": "MODEL_CARD.md"}
    head["datasets"] = [str(source["name"]) for source in story.sources]
    head["tags"] = ["gristmill", "onnx", str(story.config["model_type"])]
    labelled = story.evaluation.get("classification")
    found, titles = (labelled, _LABEL_METRICS) if labelled else (story.evaluation.get("test") or {}, _METRICS)
    metrics = [{"type": name, "name": title, "value": found[name]} for name, title in titles.items() if name in found]
    if metrics:
        dataset = {"type": "held-out", "name": "held-out documents of the sources", "split": "test"}
        if labelled:
            dataset = {"type": "held-out", "name": "held-out rows of the examples", "split": "validation"}
        result = {"task": {"type": task_of(story)}, "dataset": dataset, "metrics": metrics}
        head["model-index"] = [{"name": story.name, "results": [result]}]
    return head


def _summary(story: Story, language: Language) -> str:
    architecture, parameters, tokens = story.config["model_type"], story.stop["parameters"], story.tokens
    kind, measured = said(_kind(story), language), said(_measured(story), language)
    if language == "en":
        begun = "trained further from given weights" if story.has_given_weights else "trained from scratch"
        told = f"; {measured}" if measured else ""
        return f"A {architecture} {kind} of {parameters:,} parameters, {begun} on {tokens:,} tokens{told}."
    begun = "在给定权重上继续训练" if story.has_given_weights else "从头训练"
    told = f"；{measured}" if measured else ""
    return f"{architecture} {kind}，参数量 {parameters:,}，{begun}，训练词元 {tokens:,}{told}。"


def _kind(story: Story) -> Words:
    return _KINDS.get(task_of(story), Words("language model", "语言模型"))


def _measured(story: Story) -> Words:
    """The figure that it is judged by."""
    if (found := story.evaluation.get("classification")) is not None:
        share, labels = f"{found['accuracy']:.1%}", len(found["by_label"])
        return Words(
            f"{share} of held-out texts get the right one of {labels} labels",
            f"留出文本的标签准确率 {share}（{labels} 类）",
        )
    if (found := story.evaluation.get("sequences")) is not None:
        share = f"{found['exact_match']:.1%}"
        return Words(f"{share} of held-out targets are written to the letter", f"留出目标完全匹配率 {share}")
    bits = (story.evaluation.get("test") or {}).get("bits_per_byte")
    if bits is None:
        return Words("", "")
    return Words(f"{bits:.4f} bits per byte on held-out text", f"留出文本上每字节 {bits:.4f} 比特")


def _evaluation(story: Story, language: Language) -> Iterator[str]:
    """The two splits, then whatever else was measured, by the names that the evaluation gives it."""
    names = [*_METRICS]
    head = ("", said(figure_words("docs"), language), *(said(figure_words(name), language) for name in names))
    splits = {split: found for split in SPLITS if (found := story.evaluation.get(split))}
    if splits:
        yield from row(head, "lrrrr")
    for split, found in splits.items():
        figures = (_with_interval(found, name) for name in names)
        yield from row((said(figure_words(split), language), f"{found['docs']:,}", *figures))
    rest = {
        **{
            split: {key: part for key, part in found.items() if isinstance(part, dict)}
            for split, found in splits.items()
        },
        **{key: part for key, part in story.evaluation.items() if key not in (*SPLITS, *DIGESTS)},
    }
    for table in tables_of(rest):
        title = ", ".join(said(name, language) for name in table.title)
        yield from ("", f"### {cell(title)}", "") if title else ("",)
        yield from row([said(name, language) for name in table.head], "l" + "r" * (len(table.head) - 1))
        for line in table.rows:
            yield from row([said(value, language) for value in line])


def _with_interval(found: Tree, name: str) -> str:
    value, low, high = found.get(name), found.get(f"{name}_low"), found.get(f"{name}_high")
    if value is None:
        return "-"
    interval = f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else ""
    return f"{value:.4f}{interval}"


def _variants(story: Story, language: Language) -> Iterator[str]:
    t = partial(choose, language)
    yield t(
        f"Served: **{story.served}**. All figures against fp32 on held-out text.",
        f"对外服务：**{story.served}**。各项指标均在留出文本上与 fp32 比较。",
    )
    yield ""
    head = (t("variant", "变体"), t("bytes", "字节"), t("loss change", "损失变化"), "KL")
    yield from row((*head, t("same likeliest token", "首选词元一致"), t("same greedy text", "贪心文本一致")), "lrrrrr")
    for name, found in story.quality.items():
        label = f"{name} ({t('not kept', '未保留')})" if "rejected" in found else name
        greedy = found.get("greedy_agreement")
        agreement = (f"{found['top1_agreement']:.1%}", "-" if greedy is None else f"{greedy:.1%}")
        change = (f"{found['bytes']:,}", f"{found['loss_increase']:+.4f}", f"{found['kl']:.2e}")
        yield from row((label, *change, *agreement))


def _gate(story: Story, language: Language) -> Iterator[str]:
    for check in story.gate:
        if language == "en":
            yield f"- {check}"
        else:
            yield f"- {check.name}：{check.value}，要求 {check.limit}：{'通过' if check.passed else '未通过'}"


def _samples(story: Story) -> Iterator[str]:
    for sample in story.samples:
        yield f"**{cell(sample['prompt'])}**"
        yield ""
        yield from quoted(sample["continuation"])
        yield ""


def _limits(story: Story, language: Language) -> Iterator[str]:
    t = partial(choose, language)
    names = ", ".join(source["name"] for source in story.sources)
    context = story.config.get("max_position_embeddings", story.config.get("n_positions"))
    if task_of(story) == "text-generation" and not story.chats:
        yield t(
            f"- It continues text of the kind it was trained on ({names}); it is no assistant.",
            f"- 它只会续写与训练数据（{names}）同类的文本，不是助手。",
        )
    if context is not None:
        writes = task_of(story) != "text-classification"
        yield t(
            f"- It reads at most {context:,} tokens at once{', prompt and continuation together' if writes else ''}.",
            f"- {'提示与续写合计' if writes else '一次'}最多 {context:,} 词元。",
        )
    if task_of(story) == "text-classification":
        yield t(
            "- It knows no other labels than those above, gives one to any text, and may have the biases of its "
            "examples.",
            "- 它只认识上述标签，对任何文本都会给出其中之一，并可能带有训练样例中的偏见。",
        )
    else:
        yield t(
            "- What it writes may be wrong, and may repeat passages of its training text and the biases in it.",
            "- 其输出可能有误，也可能重复训练文本中的段落与偏见。",
        )
    yield t(
        "- Personal data was looked for by patterns: some of it may have been missed.",
        "- 个人信息按模式查找，可能有遗漏。",
    )
    if any(source["license"] == "unknown" for source in story.sources):
        yield t(
            "- The licence of some sources is unknown; settle that before you pass the model on.",
            "- 部分来源的许可证未知；转交模型前请先确认。",
        )
