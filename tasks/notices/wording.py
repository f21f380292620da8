"""The words of notices, in English and Chinese."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]

FIGURES: dict[str, str | None] = {
    "val_loss": ".4f",
    "loss": ".4f",
    "test_bits_per_byte": ".4f",
    "accuracy": ".4f",
    "steps": ",.0f",
    "tokens": ",.0f",
    "tokens_per_s": ",.0f",
    "training_s": None,
    "cost": ",.2f",
}
"""Key numbers in the order they are told, with their format; None for a duration in seconds."""


@dataclass(frozen=True)
class Wording:
    """One language."""

    verdict: str
    reason: str
    took: str
    run: str
    preset: str
    host: str
    next: str
    verdicts: dict[str, str]
    figures: dict[str, str]
    links: dict[str, str]
    steps: dict[str, str]


_GOES_ON = "the same command goes on from what is finished: gristmill run {preset} …"
_ENJOY = "gristmill generate 'Once upon a time' --model {version}; gristmill ui"

ENGLISH = Wording(
    verdict="Ended",
    reason="Reason",
    took="Whole run",
    run="Run",
    preset="Preset",
    host="Machine",
    next="Next",
    verdicts={
        "converged": "converged",
        "budget": "budget used up",
        "asked": "stopped as asked",
        "completed": "completed",
        "broken": "training broke",
        "failed": "failed",
        "interrupted": "interrupted",
        "killed": "killed",
        "warning": "needs a look",
        "test": "this is a test",
    },
    figures={
        "val_loss": "Validation loss (nats per token)",
        "loss": "Training loss (nats per token)",
        "test_bits_per_byte": "Test bits per byte",
        "accuracy": "Held-out accuracy",
        "steps": "Steps",
        "tokens": "Tokens",
        "tokens_per_s": "Tokens per second",
        "training_s": "Training",
        "cost": "Cost",
    },
    links={"version": "Model", "mlflow": "MLflow run", "prefect": "Prefect run", "folder": "Folder", "log": "Log"},
    steps={
        "converged": _ENJOY,
        "budget": _ENJOY,
        "asked": _ENJOY,
        "completed": "gristmill ui",
        "broken": "nothing was released; lower the learning rate or lengthen the warm-up, then run it again: "
        "finished stages are reused",
        "failed": f"mend the cause; {_GOES_ON}",
        "interrupted": _GOES_ON,
        "killed": f"see whether memory ran out (dmesg, the cluster's events); {_GOES_ON}",
        "warning": "gristmill status says what runs, gristmill runs how the last runs ended",
        "test": "nothing to do: notices arrive here",
    },
)

_RESUME_ZH = "同一命令会接着已完成的部分继续：gristmill run {preset} …"
_ENJOY_ZH = "gristmill generate '从前' --model {version}；gristmill ui"

CHINESE = Wording(
    verdict="结局",
    reason="原因",
    took="全程用时",
    run="运行",
    preset="预设",
    host="机器",
    next="下一步",
    verdicts={
        "converged": "已收敛",
        "budget": "预算已用完",
        "asked": "已按要求停止",
        "completed": "已完成",
        "broken": "训练已崩坏",
        "failed": "失败",
        "interrupted": "被中断",
        "killed": "进程被强行终止",
        "warning": "需要查看",
        "test": "这是一条测试消息",
    },
    figures={
        "val_loss": "验证损失（nat/词元）",
        "loss": "训练损失（nat/词元）",
        "test_bits_per_byte": "测试集每字节比特数",
        "accuracy": "留出准确率",
        "steps": "步数",
        "tokens": "词元数",
        "tokens_per_s": "每秒词元数",
        "training_s": "训练用时",
        "cost": "费用",
    },
    links={"version": "模型", "mlflow": "MLflow 运行", "prefect": "Prefect 运行", "folder": "文件夹", "log": "日志"},
    steps={
        "converged": _ENJOY_ZH,
        "budget": _ENJOY_ZH,
        "asked": _ENJOY_ZH,
        "completed": "gristmill ui",
        "broken": "没有发布任何模型；请调低学习率或加长预热，然后重新运行：已完成的阶段会被复用",
        "failed": f"请先排除原因；{_RESUME_ZH}",
        "interrupted": _RESUME_ZH,
        "killed": f"请检查是否内存不足（dmesg 或集群事件）；{_RESUME_ZH}",
        "warning": "gristmill status 显示哪些服务在运行，gristmill runs 显示最近各次运行的结局",
        "test": "无需操作：通知可以送达",
    },
)

WORDS: dict[Language, Wording] = {"en": ENGLISH, "zh": CHINESE}
