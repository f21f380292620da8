"""What report and model card say, in English and in Chinese."""

from dataclasses import dataclass
from typing import Literal

from tasks.artifacts.manifest import work_of

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Words:
    """The same said twice."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        """In one of the languages."""
        return self.en if language == "en" else self.zh


Said = Words | str
"""A text, or one that is the same in both languages: a name, a number."""


def said(text: Said, language: Language) -> str:
    """A text in one of the languages."""
    return text.of(language) if isinstance(text, Words) else text


def choose(language: Language, en: str, zh: str) -> str:
    """One of two sentences that say the same."""
    return en if language == "en" else zh


STAGES = {
    "survey": "清点文件",
    "ingest": "读入",
    "clean": "清洗",
    "dedup": "去重",
    "split": "划分",
    "decontaminate": "去污染",
    "train_tokenizer": "训练分词器",
    "shard": "切块",
    "train": "训练",
    "drop_spans": "挖空",
    "evaluate": "评测",
    "export": "导出",
    "compress": "压缩",
    "release": "发布",
}
VERDICTS = {
    "converged": Words("converged", "已收敛"),
    "budget": Words("its budget is spent", "预算用完"),
    "asked": Words("somebody asked for it", "人为要求"),
    "broken": Words("broken", "训练失败"),
}
STATUSES = {
    "completed": Words("completed", "已完成"),
    "failed": Words("failed", "失败"),
    "cancelled": Words("cancelled", "已取消"),
    "running": Words("did not end", "未结束"),
}
LANGUAGES = {"en": Words("English", "英语"), "zh": Words("Chinese", "中文"), "unknown": Words("unknown", "未知")}
SCRIPTS = {
    "han": Words("Han", "汉字"),
    "kana": Words("kana", "假名"),
    "hangul": Words("hangul", "谚文"),
    "other": Words("alphabets", "字母文字"),
}
ACTIONS = {
    "replace": Words("replaced by a placeholder", "替换为占位符"),
    "drop": Words("its document dropped", "丢弃所在文档"),
    "keep": Words("kept", "保留"),
}
"""What becomes of personal data."""
_FIGURES = {
    "loss": Words("loss (nats per token)", "损失（纳特/词元）"),
    "perplexity": Words("perplexity", "困惑度"),
    "bits_per_byte": Words("bits per byte", "每字节比特数"),
    "docs": Words("documents", "文档数"),
    "targets": Words("tokens", "词元数"),
    "num_bytes": Words("bytes", "字节数"),
    "validation": Words("validation", "验证集"),
    "test": Words("test", "测试集"),
    "train": Words("training", "训练集"),
    "served": Words("the served file", "对外服务的文件"),
    "variant": Words("variant", "变体"),
    "loss_increase": Words("rise of the loss", "损失增加"),
    "contamination": Words("contamination", "污染"),
    "answers": Words("answers to held-out conversations", "留出对话的回答"),
    "samples": Words("samples", "生成样例"),
    "tasks": Words("tasks", "任务"),
    "by_source": Words("by source", "按来源"),
    "by_language": Words("by language", "按语言"),
    "classification": Words("labels of held-out texts", "留出文本的标签"),
    "sequences": Words("what is written for held-out sources", "留出源文本的输出"),
    "exact_match": Words("exact match", "完全匹配"),
    "chrf": Words("chrF2 (0 to 100)", "chrF2（0 至 100）"),
    "log_loss": Words("log loss (nats per text)", "对数损失（纳特/文本）"),
    "accuracy": Words("accuracy", "准确率"),
    "token_accuracy": Words("token accuracy", "词元准确率"),
    "reward_margin": Words("reward margin", "奖励差"),
    "reward_accuracy": Words("reward accuracy", "奖励准确率"),
    "chosen_reward": Words("reward of the chosen answer", "优选回答的奖励"),
    "rejected_reward": Words("reward of the rejected answer", "次选回答的奖励"),
    "macro_f1": Words("macro F1", "宏平均 F1"),
    "f1": Words("F1", "F1"),
    "precision": Words("precision", "精确率"),
    "recall": Words("recall", "召回率"),
    "majority_accuracy": Words("accuracy of the commonest label", "最常见标签的准确率"),
    "over_majority": Words("accuracy above that", "高出的准确率"),
    "calibration_error": Words("calibration error", "校准误差"),
    "by_label": Words("by label", "按标签"),
    "confusion": Words("confusion: rows wanted, columns said", "混淆矩阵：行为应有标签，列为预测标签"),
    "wanted": Words("wanted", "应有标签"),
    "agreement": Words("same answer as the trained model", "与训练模型答案一致"),
}


def stage_words(stage: str) -> Words:
    """The name of a stage; a phase of training keeps its own."""
    name = work_of(stage)
    return Words(stage, f"{stage}（{STAGES[name]}）" if name in STAGES else stage)


def documents(number: int) -> Words:
    """So many documents."""
    return Words(f"{number:,} document{'' if number == 1 else 's'}", f"{number:,} 篇文档")


def figure_words(name: str) -> Words:
    """The name of a figure of the evaluation; one that is not known is spelled out."""
    plain = name.replace("_", " ")
    return _FIGURES.get(name, Words(plain, plain))
