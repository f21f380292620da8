"""What training took: arithmetic, time, energy and money, each with the assumption behind it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from params.run import RunParams
from tasks.artifacts.manifest import Manifest
from tasks.estimation.arithmetic import token_flops
from tasks.estimation.shape import FAMILIES, ModelShape
from tasks.hardware.accelerators import ACCELERATORS, PRICES_FROM, Accelerator
from tasks.report.results import read_json
from tasks.report.words import Words

_CORE_WATTS = 12.0
"""Of a processor that is not known: Lannelongue et al. 2021, Green Algorithms, doi 10.1002/advs.202100707."""
_TRAINING = 6
"""Operations per parameter and token, forward and backward (Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class Expenditure:
    """Of all phases of training together."""

    seconds: float
    flops: float
    flops_from: Words
    hardware: str
    watts: float | None
    """Of all devices together; None where nothing is known of them."""
    watts_from: Words
    price_per_hour: float | None
    """Of all devices together; None where nobody said."""
    price_from: Words

    @property
    def kilowatt_hours(self) -> float | None:
        """Energy of the devices at this power, without the machine around them."""
        return None if self.watts is None else self.watts * self.seconds / 3.6e6

    @property
    def cost(self) -> float | None:
        """In the currency of the price."""
        return None if self.price_per_hour is None else self.price_per_hour * self.seconds / 3600


def expenditure(trained: Sequence[Manifest], settings: RunParams) -> Expenditure:
    """What these phases took; power and price are those of the settings, else of a table, else assumed."""
    facts = trained[-1].metrics.facts
    ranks, threads = (int(facts.get(name, 1)) for name in ("ranks", "threads"))
    on_gpu = facts.get("device", "").startswith("cuda")
    device = facts.get("hardware") or ("GPU" if on_gpu else "CPU")
    accelerator = _accelerator(device) if on_gpu else None
    parts = [_flops(one) for one in trained]
    watts, watts_from = _watts(settings, accelerator, ranks=ranks, threads=None if on_gpu else threads)
    price, price_from = _price(settings, trained, accelerator, ranks=ranks)
    return Expenditure(
        seconds=sum(one.metrics.values["training_s"] for one in trained),
        flops=sum(flops for flops, _ in parts),
        flops_from=parts[-1][1],
        hardware=f"{ranks} x {device}" + ("" if on_gpu else f", {threads} threads"),
        watts=watts,
        watts_from=watts_from,
        price_per_hour=price,
        price_from=price_from,
    )


def _flops(trained: Manifest) -> tuple[float, Words]:
    config = read_json(trained.file("model/config.json")) or {}
    tokens, parameters = trained.metrics.counts["tokens"], trained.metrics.counts["parameters"]
    if config.get("model_type") in FAMILIES:
        context = round(tokens / trained.metrics.counts["steps"] / trained.params["batch_blocks"])
        per_token = token_flops(ModelShape.of_config(config, context=context)).total
        return float(per_token) * tokens, Words(
            "matrix products and attention of every trained token, forward and backward",
            "每个训练词元的矩阵乘法与注意力，含前向与反向",
        )
    return float(_TRAINING * parameters * tokens), Words(
        "6 per parameter and token: this architecture has no formula of its own",
        "每参数每词元 6 次：该架构没有专门的公式",
    )


def _watts(
    settings: RunParams, accelerator: Accelerator | None, *, ranks: int, threads: int | None
) -> tuple[float | None, Words]:
    """Without `threads` it is a GPU."""
    if settings.watts is not None:
        return settings.watts, Words("run.watts", "run.watts")
    if accelerator is not None:
        name = f"{ranks} x {accelerator.name}"
        return ranks * accelerator.watts, Words(f"maximum board power of {name}", f"{name} 的最大板卡功率")
    if threads is None:
        return None, Words("power of this device is not known; set run.watts", "该设备功率未知；可设 run.watts")
    return _CORE_WATTS * ranks * threads, Words(
        f"assumed: {_CORE_WATTS:g} W a thread (Lannelongue et al. 2021); set run.watts to say better",
        f"假定每线程 {_CORE_WATTS:g} W（Lannelongue 等，2021）；可用 run.watts 指定",
    )


def _price(
    settings: RunParams, trained: Sequence[Manifest], accelerator: Accelerator | None, *, ranks: int
) -> tuple[float | None, Words]:
    if settings.price_per_hour is not None:
        return settings.price_per_hour, Words("run.price_per_hour", "run.price_per_hour")
    if (ruled := _price_of_rule(trained[-1].params.get("stop") or {})) is not None:
        return ruled, Words("the price of the cost rule of train.stop", "train.stop 成本规则中的价格")
    if accelerator is not None and accelerator.dollars_per_hour is not None:
        return ranks * accelerator.dollars_per_hour, Words(f"example: {PRICES_FROM}", f"示例：{PRICES_FROM}")
    return None, Words("no price is known; set run.price_per_hour", "价格未知；可设 run.price_per_hour")


def _price_of_rule(stop: Mapping[str, Any]) -> float | None:
    rule = stop.get("max_cost") or {}
    return rule.get("price_per_hour")


def _accelerator(device: str) -> Accelerator | None:
    """The entry of the table that a device's own name means, as in NVIDIA H100 80GB HBM3 or NVIDIA A100-SXM4-40GB."""
    words = set(re.split(r"[^a-z0-9]+", device.lower()))
    same = [one for one in ACCELERATORS.values() if _product(one) in words]
    return max(same, key=lambda one: _likeness(one, device.lower()), default=None)


def _product(accelerator: Accelerator) -> str:
    """A100, 4090: the first word with a digit."""
    return next(word for word in accelerator.name.lower().split() if any(map(str.isdigit, word)))


def _likeness(accelerator: Accelerator, device: str) -> int:
    form, memory = ("pcie" in accelerator.name.lower()) == ("pcie" in device), f"{accelerator.memory_gib:g}gb" in device
    return form + memory
