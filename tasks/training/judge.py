"""What becomes of a run after each step: whether it ends, anneals first, or goes back."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tasks.training.checkpoint import Progress
from tasks.training.clock import Clock
from tasks.training.schedule import Horizon, early_decay, learning_rate_factor, planned_horizon
from tasks.training.setup import Parts
from tasks.training.stopping.judging import carry_over, judge_all, lasting, nearest
from tasks.training.stopping.observation import Observation, RuleState, StopDecision, weightiest
from tasks.training.stopping.outside import Outside
from tasks.training.stopping.record import FILE_NAME, StoppingFile

log = logging.getLogger(__name__)


class Judge:
    """Asks the stop rules and plans the learning rate; what must outlive the process is in the progress."""

    def __init__(self, parts: Parts, agree: Callable[[list[Any]], list[Any]]) -> None:
        self._parts = parts
        self._agree = agree
        self._readings: dict[str, RuleState] = {}
        self.progress = Progress()
        self.clock = Clock()
        folder = parts.job.out / "logs"
        self.file = StoppingFile(folder / FILE_NAME, writes=parts.accelerator.is_main_process)
        self.outside = Outside(parts.job.params.stop)

    def plan(self) -> None:
        """Set where the decay starts and the run ends, by the budgets."""
        horizon = planned_horizon(self._parts.job.params.schedule, self._parts.planned_steps)
        self.progress.decay_from, self.progress.end = horizon.decay_from, horizon.end

    def use(self, parts: Parts) -> None:
        """Go on with rules that may have changed; what they remember stays where it means the same."""
        self._parts = parts
        self.progress.stop_states = carry_over(parts.rules, self.progress.stop_states)
        if not self.is_decaying:
            self.plan()

    def factor(self) -> float:
        """Factor of the peak learning rates for the update of the step under way."""
        schedule = self._parts.job.params.schedule
        return learning_rate_factor(schedule, self._horizon, self.progress.step - 1) * self.progress.lr_scale

    def before_update(self, loss: float, grad_norm: float) -> StopDecision | None:
        """What the raw loss and gradient say; asked while the weights are still good."""
        now, later = self._ask(self._observe(loss, grad_norm, None, {}, {}), guards=True)
        return self._noted(weightiest(now, also=later))

    def after_step(
        self, loss: float, grad_norm: float, val_loss: float | None, metrics: Mapping[str, float]
    ) -> StopDecision | None:
        """The decision to end now; a rule that lets the run anneal first starts the decay instead."""
        progress, params = self.progress, self._parts.job.params
        seen = self._observe(loss, grad_norm, val_loss, metrics, self._look_outside(loss, val_loss))
        now, later = self._ask(seen, guards=False)
        if val_loss is not None or progress.step % params.record_every_steps == 0:
            self.file.add(progress.step, self._readings, evaluated=val_loss is not None)
        if later and not now and not self.is_decaying:
            self._begin_decay(later)
        elif self.is_decaying:  # nothing to wait for: only a budget that would be overrun ends a decay early
            now += [decision for decision in later if decision.verdict == "budget"]
        if progress.end is not None and progress.step >= progress.end and progress.ending:
            return self._noted(StopDecision(**progress.ending))  # type: ignore[arg-type]
        return self._noted(weightiest(now, also=later))

    def left_s(self) -> float | None:
        """Seconds to the end, by the nearest stop rule; None where nobody knows."""
        params = self._parts.job.params
        step_s = self.clock.mean_s("step") + self.clock.mean_s("eval") / params.eval_every_steps
        left = nearest(self._parts.rules, self._readings, step_s=step_s, steps_per_eval=params.eval_every_steps)
        return None if left is None or not left.is_certain else round(left.seconds, 1)

    @property
    def is_decaying(self) -> bool:
        """Whether the learning rate is on its way down."""
        return self.progress.decay_from is not None and self.progress.step >= self.progress.decay_from

    @property
    def _has_decay(self) -> bool:
        return self._parts.job.params.schedule.name == "wsd"

    @property
    def _horizon(self) -> Horizon:
        return Horizon(self.progress.decay_from, self.progress.end)

    def _observe(
        self,
        loss: float,
        grad_norm: float,
        val_loss: float | None,
        metrics: Mapping[str, float],
        outside: Mapping[str, str | None],
    ) -> Observation:
        step = self.progress.step
        return Observation(
            step=step,
            loss=loss,
            grad_norm=grad_norm,
            val_loss=val_loss,
            elapsed_s=self.clock.elapsed_s,
            ending_s=self._ending_s(),
            tokens=step * self._parts.tokens_per_step,
            epochs=self._parts.order.epochs(step),
            evals=step // self._parts.job.params.eval_every_steps,
            metrics=metrics,
            outside=outside,
        )

    def _ask(self, seen: Observation, *, guards: bool) -> tuple[list[StopDecision], list[StopDecision]]:
        """Decisions of the rules that fired: those that count now, and those that let a decay run first."""
        rules = [rule for rule in self._parts.rules if rule.guards == guards]
        states, fired = judge_all(rules, seen, self.progress.stop_states)
        (fired,) = self._agree([fired])
        self.progress.stop_states |= lasting(rules, states)
        self._readings |= states
        later = [decision for decision in fired if decision.anneals and self._has_decay]
        return [decision for decision in fired if decision not in later], later

    def _begin_decay(self, fired: list[StopDecision]) -> None:
        decision = weightiest(fired)
        assert decision is not None
        self._noted(decision, "decay")
        horizon = early_decay(self._parts.job.params.schedule, self._horizon, self.progress.step)
        self.progress.decay_from, self.progress.end = horizon.decay_from, horizon.end
        self.progress.ending = asdict(decision)
        log.info("%s: %s; annealing until step %s", decision.rule, decision.reason, horizon.end)

    def _look_outside(self, loss: float, val_loss: float | None) -> dict[str, str | None]:
        """What files and commands say: asked on the first rank only, whose verdict is everyone's."""
        if not self._parts.accelerator.is_main_process:
            return {}
        about = {"STEP": str(self.progress.step), "LOSS": f"{loss:.6g}"}
        if val_loss is not None:
            about["VAL_LOSS"] = f"{val_loss:.6g}"
        return self.outside.look(evaluated=val_loss is not None, about=about)

    def _noted(self, decision: StopDecision | None, what: str | None = None) -> StopDecision | None:
        """A decision, recorded with the readings that led to it."""
        if decision is not None:
            self.file.add(self.progress.step, self._readings, evaluated=False)
            self.file.decide(self.progress.step, decision, what or decision.action)
        return decision

    def _ending_s(self) -> float:
        """Time to end well from here: a step, the decay where it is still to come, evaluation and saving."""
        schedule, steps = self._parts.job.params.schedule, 1
        if self._has_decay and not self.is_decaying:
            horizon = early_decay(schedule, self._horizon, self.progress.step)
            steps = (horizon.end or 0) - self.progress.step
        evals = 1 + steps // self._parts.job.params.eval_every_steps
        return steps * self.clock.cost_s("step") + evals * self.clock.cost_s("eval") + self.clock.cost_s("save")
