"""What a bundle must prove before it may serve people."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from params.release import ReleaseParams


@dataclass(frozen=True)
class GateCheck:
    """One condition, with what was found and what was asked."""

    name: str
    value: str | float | None
    limit: str | float | None
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """For gate.json."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for a reader."""
        return f"{self.name} is {self.value}, asked for {self.limit}: {'passed' if self.passed else 'failed'}"


def gate_checks(
    params: ReleaseParams, *, verdict: str, bits_per_byte: float, quality: Mapping[str, Mapping[str, Any]]
) -> list[GateCheck]:
    """All conditions on a model that do not need the registry; `quality` is by variant."""
    served = quality.get(params.serve)
    kept = served is not None and "rejected" not in served
    increase = float(served["loss_increase"]) if served is not None else math.nan
    checks = [
        GateCheck("verdict", verdict, "not broken", verdict != "broken"),
        GateCheck("served variant", params.serve if kept else None, params.serve, kept),
        _at_most("loss increase of the served variant", increase, params.max_loss_increase),
        GateCheck("test bits per byte", bits_per_byte, "a number", math.isfinite(bits_per_byte)),
    ]
    if params.max_bits_per_byte is not None:
        checks.append(_at_most("test bits per byte under the limit", bits_per_byte, params.max_bits_per_byte))
    return checks


def _at_most(name: str, value: float, limit: float) -> GateCheck:
    return GateCheck(name, value if math.isfinite(value) else None, limit, value <= limit)
