"""How long a training run takes from start to end."""

from dataclasses import dataclass

from params.run import RunParams
from params.train import TrainParams
from tasks.estimation.disk import checkpoint_bytes
from tasks.estimation.pace import Pace, Step
from tasks.estimation.plan import TokenPlan, token_plan

_SAVED_BYTES_PER_S = 300e6
"""Writing a checkpoint, syncing it and reading it again for its digest."""


@dataclass(frozen=True)
class Duration:
    """Seconds of a run."""

    start_s: float
    steps_s: float
    evaluation_s: float
    saving_s: float

    @property
    def training_s(self) -> float:
        """From the first step to the end."""
        return self.steps_s + self.evaluation_s + self.saving_s

    @property
    def total_s(self) -> float:
        """From the command to the end."""
        return self.start_s + self.training_s


def timed_plan(
    params: TrainParams, settings: RunParams, step: Step, *, num_blocks: int | None, pace: Pace | None
) -> tuple[TokenPlan, Duration | None]:
    """The plan, cut where `max_minutes` ends it, and how long it takes; None without a pace or an end."""
    plan = token_plan(params, context=step.shape.context, num_blocks=num_blocks)
    if pace is None:
        return plan, None
    evaluation_s = _evaluation_s(params, step, pace)
    save_s = checkpoint_bytes(step.shape, muon=step.layout.muon) / _SAVED_BYTES_PER_S
    overhead = evaluation_s / (params.eval_every_steps * pace.step_s) + save_s / settings.checkpoint_every_s
    plan = plan.limited(step_s=pace.step_s * (1 + overhead), elsewhere_s=pace.start_s + evaluation_s + save_s)
    if plan.steps is None:
        return plan, None
    steps_s = plan.steps * pace.step_s
    num_evaluations = 1 + plan.steps // params.eval_every_steps
    num_saves = 1 + steps_s // settings.checkpoint_every_s
    return plan, Duration(pace.start_s, steps_s, num_evaluations * evaluation_s, num_saves * save_s)


def _evaluation_s(params: TrainParams, step: Step, pace: Pace) -> float:
    """One evaluation: its tokens go forward only, a third of the work (half of it where a reference goes forward as
    well), and every rank does all of it."""
    tokens = params.eval_blocks * step.shape.context
    share = 1 / 2 if step.layout.has_reference else 1 / 3
    return pace.step_s * step.layout.devices * tokens / step.tokens * share
