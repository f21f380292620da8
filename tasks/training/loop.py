"""The training loop: step, judge, evaluate, save; a function of the step number and the checkpoint."""

import json
import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from tasks.training.checkpoint import (
    Progress,
    load_best,
    newest_checkpoint,
    restore_random_states,
    save_best,
    save_checkpoint,
)
from tasks.training.clock import Clock
from tasks.training.curve import CurveFile
from tasks.training.job import Exit
from tasks.training.optimizers import load_optimizer_tensors, optimizer_tensors
from tasks.training.orders import Order, OrderBook
from tasks.training.schedule import Horizon, early_decay, learning_rate_factor, planned_horizon
from tasks.training.setup import Parts
from tasks.training.stopping import Observation, StopDecision, judge_all

log = logging.getLogger(__name__)
_POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """How the loop ended; `decision` is None when it was interrupted."""

    exit: Exit
    decision: StopDecision | None
    progress: Progress


class Loop:
    """Trains until a stop rule decides; `interrupted` may be set at any time to save and leave."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.params = parts.job.params
        self.interrupted = False
        self.progress = Progress()
        self.clock = Clock()
        self.curve = CurveFile(parts.job.out / "logs" / "metrics.jsonl", writes=parts.accelerator.is_main_process)
        self._validation = parts.validation_batches(min(16, self.params.eval_blocks))
        self._orders = OrderBook(parts.job.orders).start_at(parts.job.orders_seen)
        self._paused = False
        self._resume()

    def run(self) -> Outcome:
        """Train to the end, or until interrupted."""
        while True:
            if self.progress.decision is not None:
                return Outcome(Exit.FINISHED, StopDecision(**self.progress.decision), self.progress)  # type: ignore[arg-type]
            decision = self._step()
            if decision is not None and decision.verdict == "broken":
                return Outcome(Exit.FINISHED, decision, self.progress)
            if decision is not None:
                self._evaluate_last()
                self.progress.decision = asdict(decision)
                self.save()
                continue
            wants_save = self.clock.since_save_s >= self.parts.job.settings.checkpoint_every_s
            leave, wants_save, orders = self._agree([self.interrupted, wants_save, self._orders.read_new()])
            for order in orders:
                wants_save |= self._obey(order)
            if leave or wants_save:
                self.save()
            if leave:
                return Outcome(Exit.INTERRUPTED, None, self.progress)
            self._wait_while_paused()

    def evaluate(self) -> float:
        """Mean validation loss, nats per token."""
        self.parts.wrapped.eval()
        with self.clock.timing("eval"), torch.no_grad():
            total = sum(float(self.parts.objective(self.parts.model, batch)) for batch, _ in self._validation)
        self.parts.wrapped.train()
        return total / sum(targets for _, targets in self._validation)

    def use_best_weights(self) -> bool:
        """With patience, put back the weights of the best evaluation if the last ones are worse; whether it did."""
        progress = self.progress
        if not self.params.stop.patience or progress.best_val_loss is None or progress.last_val_loss is None:
            return False
        if progress.best_val_loss >= progress.last_val_loss:
            return False
        self._load_weights(load_best(self.parts.job.best))
        return True

    def save(self) -> None:
        """Write a checkpoint; only the first rank does."""
        with self.clock.timing("save"):
            if self.parts.accelerator.is_main_process:
                self.curve.flush()
                save_checkpoint(
                    self.parts.job.checkpoints,
                    self.progress,
                    weights=self._weights(),
                    optimizer=optimizer_tensors(self.parts.optimizers),
                    configuration=self._configuration(),
                    elapsed_s=self.clock.elapsed_s,
                    keep=self.parts.job.settings.keep_checkpoints,
                )
            self.parts.accelerator.wait_for_everyone()
        self.clock.saved()

    def _step(self) -> StopDecision | None:
        with self.clock.timing("step"):
            loss, grad_norm = self._gradients()
            self.progress.step += 1
            broken = self._judge(loss, grad_norm, None, only="non_finite")
            if broken is not None:
                return broken
            factor = learning_rate_factor(self.params.schedule, self._horizon, self.progress.step - 1)
            factor *= self.progress.lr_scale
            self.parts.optimizers.step(factor)
        val_loss = self.evaluate() if self.progress.step % self.params.eval_every_steps == 0 else None
        self._record(loss, grad_norm, factor, val_loss)
        return self._judge(loss, grad_norm, val_loss)

    def _obey(self, order: Order) -> bool:
        """Do what a person asks; whether that wants a checkpoint: what changes training is in one at once, so that a
        run that is killed later repeats it."""
        progress, said = self.progress, order.model_dump(exclude_defaults=True)
        if order.do == "set":
            try:
                self._apply(order.lr_scale, order.stop)
            except ValueError as error:
                log.warning("order %s refused: %s", said, str(error).replace("\n", " "))
                return False
            progress.edits.append({"step": progress.step, "lr_scale": order.lr_scale, "stop": order.stop})
        elif order.do == "stop":
            self._evaluate_last()
            reason = order.reason or f"asked to at step {progress.step:,}"
            progress.decision = asdict(StopDecision("order", "asked", reason))
        self._paused = order.do == "pause" or (self._paused and order.do not in ("continue", "stop"))
        self.curve.add({"step": progress.step, "event": json.dumps(said, ensure_ascii=False)})
        return order.do in ("save", "stop", "pause", "set")

    def _apply(self, lr_scale: float | None, stop: dict[str, Any]) -> None:
        """Train on with what a person set."""
        if stop:
            self.parts = self.parts.with_stop(stop)
            self.params = self.parts.job.params
            if not self._is_decaying:
                self._plan()
        if lr_scale is not None:
            self.progress.lr_scale = lr_scale

    def _plan(self) -> None:
        horizon = planned_horizon(self.params.schedule, self.parts.planned_steps)
        self.progress.decay_from, self.progress.end = horizon.decay_from, horizon.end

    def _wait_while_paused(self) -> None:
        """Wait for the order to go on, or to end; everything is saved."""
        with self.clock.stopped():
            while self._paused and not self.interrupted and self.progress.decision is None:
                time.sleep(_POLL_S)
                self.interrupted, orders = self._agree([self.interrupted, self._orders.read_new()])
                for order in orders:
                    if self._obey(order):
                        self.save()

    def _gradients(self) -> tuple[float, float]:
        """Accumulate the gradient of the mean loss over all targets of the step; that loss, and the norm."""
        parts, accelerator = self.parts, self.parts.accelerator
        batch, targets = parts.batch(self.progress.step)
        micro = batch.split(self.params.micro_blocks or len(batch.inputs))
        total = torch.zeros((), device=accelerator.device)
        for index, part in enumerate(micro):
            last = index == len(micro) - 1
            with nullcontext() if last else accelerator.no_sync(parts.wrapped):
                loss = parts.objective(parts.wrapped, part)
                (loss * (accelerator.num_processes / targets)).backward()
            total += loss.detach()
        loss_value = float(accelerator.reduce(total, reduction="sum")) / targets
        limit = self.params.optimizer.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(parts.model.parameters(), math.inf if limit is None else limit)
        return loss_value, float(norm)

    def _judge(
        self, loss: float, grad_norm: float, val_loss: float | None, only: str | None = None
    ) -> StopDecision | None:
        """The decision to end now; a rule that lets the run anneal first starts the decay instead."""
        seen = Observation(
            step=self.progress.step,
            loss=loss,
            grad_norm=grad_norm,
            val_loss=val_loss,
            elapsed_s=self.clock.elapsed_s,
            ending_s=self._ending_s(),
        )
        rules = [rule for rule in self.parts.rules if (rule.name == "non_finite") == (only is not None)]
        states, fired = self._agree(list(judge_all(rules, seen, self.progress.stop_states)))
        self.progress.stop_states |= states
        now = [decision for rule, decision in fired if not (rule.anneals and self._has_decay)]
        later = [decision for rule, decision in fired if rule.anneals and self._has_decay]
        if later and not self._is_decaying:
            self._begin_decay(later[0])
        elif self._is_decaying:  # nothing to wait for: only a budget that would be overrun ends a decay early
            now += [decision for decision in later if decision.verdict == "budget"]
        if self.progress.end is not None and self.progress.step >= self.progress.end and self.progress.ending:
            return StopDecision(**self.progress.ending)  # type: ignore[arg-type]
        return now[0] if now else None

    @property
    def _has_decay(self) -> bool:
        return self.params.schedule.name == "wsd"

    @property
    def _is_decaying(self) -> bool:
        return self.progress.decay_from is not None and self.progress.step >= self.progress.decay_from

    def _begin_decay(self, decision: StopDecision) -> None:
        horizon = early_decay(self.params.schedule, self._horizon, self.progress.step)
        self.progress.decay_from, self.progress.end = horizon.decay_from, horizon.end
        self.progress.ending = asdict(decision)
        log.info("%s: %s; annealing until step %s", decision.rule, decision.reason, horizon.end)

    def _ending_s(self) -> float:
        """Time to end well from here: a step, the decay where it is still to come, evaluation and saving."""
        steps = 1
        if self._has_decay and not self._is_decaying:
            horizon = early_decay(self.params.schedule, self._horizon, self.progress.step)
            steps = (horizon.end or 0) - self.progress.step
        evals = 1 + steps // self.params.eval_every_steps
        return steps * self.clock.cost_s("step") + evals * self.clock.cost_s("eval") + self.clock.cost_s("save")

    def _evaluate_last(self) -> None:
        """Evaluate the final weights, unless that was just done."""
        if self.progress.step % self.params.eval_every_steps:
            self.progress.last_val_loss = self.evaluate()
            self.curve.add({"step": self.progress.step, "val_loss": self.progress.last_val_loss})

    def _record(self, loss: float, grad_norm: float, factor: float, val_loss: float | None) -> None:
        progress = self.progress
        progress.window.append(loss)
        point: dict[str, Any] = {}
        if progress.step % self.params.record_every_steps == 0:
            point = {
                "loss": sum(progress.window) / len(progress.window),
                "grad_norm": grad_norm,
                "lr_factor": factor,
                "tokens": progress.step * self.parts.tokens_per_step,
                "tokens_per_s": self.parts.tokens_per_step / max(self.clock.mean_s("step"), 1e-9),
            }
            progress.window = []
        if val_loss is not None:
            point["val_loss"] = progress.last_val_loss = val_loss
            if math.isfinite(val_loss) and (progress.best_val_loss is None or val_loss < progress.best_val_loss):
                progress.best_val_loss, progress.best_step = val_loss, progress.step
                self._keep_best()
        if point:
            self.curve.add({"step": progress.step, "time_ms": int(time.time() * 1000), **point})

    def _resume(self) -> None:
        checkpoint = newest_checkpoint(self.parts.job.checkpoints)
        if checkpoint is None:
            self._plan()
            self.curve.cut(0)
            return
        self._load_weights(checkpoint.tensors("weights"))
        load_optimizer_tensors(self.parts.optimizers, checkpoint.tensors("optimizer"))
        restore_random_states(checkpoint)
        self.progress = checkpoint.progress
        self.clock = Clock(checkpoint.elapsed_s)
        for edit in self.progress.edits:
            self.parts = self.parts.with_stop(edit["stop"])
        self.params = self.parts.job.params
        self.curve.cut(self.progress.step)
        log.info("resumes after step %d", self.progress.step)

    def _keep_best(self) -> None:
        if self.params.stop.patience and self.parts.accelerator.is_main_process:
            save_best(self.parts.job.best, self._weights())

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach() for name, parameter in self.parts.model.named_parameters()}

    def _load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._weights().items():
            parameter.copy_(weights[name])

    @property
    def _horizon(self) -> Horizon:
        return Horizon(self.progress.decay_from, self.progress.end)

    def _agree(self, values: list[Any]) -> list[Any]:
        """The first rank's values, on every rank: nobody stops or saves alone."""
        return values if self.parts.accelerator.num_processes == 1 else broadcast_object_list(values)

    def _configuration(self) -> dict[str, Any]:
        return {
            "train": self.params.model_dump(mode="json"),
            "architecture": json.loads(self.parts.model.config.to_json_string()),
            "threads": self.parts.job.threads,
            "ranks": self.parts.accelerator.num_processes,
            "bf16": self.parts.bf16,
            "compiled": self.parts.compiled,
        }
