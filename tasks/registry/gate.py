"""What a bundle must prove before it may serve people."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from params.gate import LimitParams
from params.release import ReleaseParams

Tree = Mapping[str, Any]
_SHOWN = 5


@dataclass(frozen=True)
class GateCheck:
    """One condition, with what was found and what was asked."""

    name: str
    value: str | float | None
    """None where there is no such figure."""
    limit: str
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """For gate.json."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for a reader."""
        return f"{self.name} is {self.value}, asked for {self.limit}: {'passed' if self.passed else 'failed'}"


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate without the registry."""

    verdict: str
    """How training ended."""
    figures: Mapping[str, float]
    """Of evaluation.json by dotted name, and those of the served file under served."""
    quality: Mapping[str, Tree]
    """quality.json: figures by variant."""
    contaminated: Mapping[str, float] | None
    """Share of each evaluation set that the training text contains; None where that was not measured."""
    decode_tokens_per_s: float | None
    decisive: str = "served.bits_per_byte"
    """The figure that decides about the served file; what else is asked of the file stands in the same section."""
    above: Sequence[tuple[str, float, float]] = ()
    """Conditions of the kind of model: name, what was found, what it must be above."""


def gate_checks(params: ReleaseParams, found: Evidence) -> list[GateCheck]:
    """All conditions on a model that do not need the registry."""
    served = found.quality.get(params.serve)
    kept = served is not None and "rejected" not in served
    value = found.figures[found.decisive]
    return [
        GateCheck("verdict of training", found.verdict, "not broken", found.verdict != "broken"),
        GateCheck("served variant", params.serve if kept else None, params.serve, kept),
        GateCheck(found.decisive, _number(value), "a number", math.isfinite(value)),
        *(GateCheck(name, _number(at), f"above {least:g}", at > least) for name, at, least in found.above),
        *_parity(params, found, served or {}),
        *_limits(params.gate.limits, found.figures),
        *_contamination(params.gate.max_contaminated, found.contaminated),
        *_costs(params, found, served or {}),
    ]


def _parity(params: ReleaseParams, found: Evidence, served: Tree) -> Iterator[GateCheck]:
    """Whether the served file does what the trained model does."""
    gate, section = params.gate, found.decisive.rpartition(".")[0]
    if gate.max_loss_increase is not None:
        yield _at_most("loss over the fp32 graph", served.get("loss_increase"), gate.max_loss_increase)
        name = f"{section}.loss_increase"
        yield _at_most(f"{name} over the trained model", found.figures[name], gate.max_loss_increase)
    if gate.min_agreement is not None and (name := f"{section}.agreement") in found.figures:
        yield _within(f"{name} with the trained model", found.figures[name], LimitParams(min=gate.min_agreement))
    if gate.min_greedy_agreement is not None:
        agreement = served.get("greedy_agreement")
        yield _within("greedy agreement with fp32", agreement, LimitParams(min=gate.min_greedy_agreement))


def _limits(limits: Mapping[str, LimitParams], figures: Mapping[str, float]) -> Iterator[GateCheck]:
    for name, limit in limits.items():
        if name in figures:
            yield _within(name, figures[name], limit)
        else:
            alike = [known for known in figures if known.rpartition(".")[2] == name.rpartition(".")[2]] or list(figures)
            yield GateCheck(name, None, f"{_text(limit)} (no such figure; there is {', '.join(alike[:_SHOWN])})", False)


def _contamination(limit: float | None, shares: Mapping[str, float] | None) -> Iterator[GateCheck]:
    if limit is not None and shares is None:
        yield GateCheck("contamination", None, "measured (evaluate.contamination)", False)
    elif limit is not None and shares is not None:
        yield from (_at_most(f"contamination.{name}.share", share, limit) for name, share in sorted(shares.items()))


def _costs(params: ReleaseParams, found: Evidence, served: Tree) -> Iterator[GateCheck]:
    gate = params.gate
    if gate.max_size_mb is not None:
        size = served.get("bytes")
        yield _at_most("megabytes of the served graph", None if size is None else size / 1e6, gate.max_size_mb)
    if gate.min_decode_tokens_per_s is not None:
        limit = LimitParams(min=gate.min_decode_tokens_per_s)
        yield _within("decoded tokens per second", found.decode_tokens_per_s, limit)


def _at_most(name: str, value: float | None, limit: float) -> GateCheck:
    return _within(name, value, LimitParams(max=limit))


def _within(name: str, value: float | None, limit: LimitParams) -> GateCheck:
    low = -math.inf if limit.min is None else limit.min
    high = math.inf if limit.max is None else limit.max
    passed = value is not None and math.isfinite(value) and low <= value <= high
    return GateCheck(name, None if value is None else _number(value), _text(limit), passed)


def _text(limit: LimitParams) -> str:
    parts = [f"at least {limit.min:g}"] if limit.min is not None else []
    return " and ".join([*parts, *([f"at most {limit.max:g}"] if limit.max is not None else [])])


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
