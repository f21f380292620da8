"""What a run was expected to do, kept at its start and compared at its end."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from params.run import RunParams
from params.train import TrainParams
from tasks.artifacts.digest import write_atomic
from tasks.estimation.adapting import Target, layout_of, step_of
from tasks.estimation.arithmetic import token_flops
from tasks.estimation.disk import checkpoint_bytes
from tasks.estimation.duration import timed_plan
from tasks.estimation.memory import memory_parts
from tasks.estimation.pace import Pace
from tasks.estimation.parameters import count_parameters
from tasks.estimation.shape import ModelShape


@dataclass(frozen=True)
class Figures:
    """Figures of a run, predicted or actual; None where there is no such figure."""

    parameters: float | None = None
    tokens: float | None = None
    tokens_per_s: float | None = None
    training_s: float | None = None
    """Steps, evaluation and saving."""
    flops: float | None = None
    peak_memory_bytes: float | None = None
    """Of one rank."""
    checkpoint_bytes: float | None = None

    def save(self, path: Path) -> None:
        """Keep until the end of the run."""
        write_atomic(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """What was kept; None where nothing was."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


@dataclass(frozen=True)
class Compared:
    """One figure, predicted and actual."""

    name: str
    predicted: float
    actual: float

    @property
    def ratio(self) -> float | None:
        """Actual over predicted: 1 is a perfect prediction."""
        return self.actual / self.predicted if self.predicted else None


def predicted(
    params: TrainParams,
    settings: RunParams,
    shape: ModelShape,
    *,
    target: Target,
    num_blocks: int,
    pace: Pace | None = None,
) -> Figures:
    """What a training section comes to on a machine; `pace` from a trial or from the measured matrix peak."""
    layout = layout_of(params, target)
    step = step_of(params, shape, layout)
    plan, duration = timed_plan(params, settings, step, num_blocks=num_blocks, pace=pace)
    return Figures(
        parameters=count_parameters(shape).total,
        tokens=plan.tokens,
        tokens_per_s=None if pace is None else pace.tokens_per_s(step.tokens),
        training_s=None if duration is None else duration.training_s,
        flops=None if plan.tokens is None else plan.tokens * layout.work * token_flops(shape).total,
        peak_memory_bytes=memory_parts(shape, layout).total,
        checkpoint_bytes=checkpoint_bytes(shape, muon=layout.muon),
    )


def compared(before: Figures, after: Figures) -> tuple[Compared, ...]:
    """Every figure that is known on both sides."""
    pairs = zip(asdict(before).items(), asdict(after).values(), strict=True)
    return tuple(Compared(name, old, new) for (name, old), new in pairs if old is not None and new is not None)


def comparison_metrics(found: tuple[Compared, ...]) -> dict[str, float]:
    """For MLflow: predicted.NAME and actual.NAME of each figure, and their ratio."""
    metrics: dict[str, float] = {}
    for one in found:
        metrics |= {f"predicted.{one.name}": float(one.predicted), f"actual.{one.name}": float(one.actual)}
        if one.ratio is not None:
            metrics[f"actual_over_predicted.{one.name}"] = one.ratio
    return metrics


def comparison_lines(found: tuple[Compared, ...]) -> list[str]:
    """For the report: a line for each figure."""
    return [
        f"{one.name.replace('_', ' '):<20} predicted {one.predicted:>16,.0f}  actual {one.actual:>16,.0f}"
        + ("" if one.ratio is None else f"  x {one.ratio:.2f}")
        for one in found
    ]
