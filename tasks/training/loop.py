"""The training loop: step, judge, evaluate, save; a function of the step number and the checkpoint."""

import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from tasks.training.checkpoint import (
    Checkpoint,
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
from tasks.training.judge import Judge
from tasks.training.machine import Machine
from tasks.training.objective import precision_name
from tasks.training.optimizers import load_optimizer_tensors, optimizer_tensors
from tasks.training.orders import Order, OrderBook
from tasks.training.sample_file import SampleFile
from tasks.training.schedule import momentum_at
from tasks.training.setup import Parts
from tasks.training.sharding import gathered, part_like, whole
from tasks.training.stopping.convergence import UPDATE_RATIO
from tasks.training.stopping.judging import after_rewind
from tasks.training.stopping.observation import StopDecision
from tasks.training.stopping.outside import mappings

log = logging.getLogger(__name__)
_POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """How the loop ended; `decision` is None when it was interrupted."""

    exit: Exit
    decision: StopDecision | None
    progress: Progress


class Loop:
    """Trains until a stop rule decides; `interrupted` may be set at any time, on any rank, to save and leave."""

    def __init__(self, parts: Parts, machine: Machine) -> None:
        self.parts = parts
        self.machine = machine
        self.params = parts.job.params
        self.interrupted = False
        self.progress = Progress()
        self.clock = Clock()
        self.curve = CurveFile(parts.job.out / "logs" / "metrics.jsonl", writes=parts.accelerator.is_main_process)
        self._samples = SampleFile(parts, self.curve.path.with_name("samples.jsonl"))
        self.judge = Judge(parts, self._agree)
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
            wants_save |= self.progress.step == self.progress.decay_from
            wants_save |= self._rewinds and self.progress.step % self.params.eval_every_steps == 0
            leave = self._is_any_interrupted()
            wants_save, orders = self._agree([wants_save, self._orders.read_new()])
            for order in orders:
                wants_save |= self._obey(order)
            if leave or wants_save:
                self.save()
            if leave:
                return Outcome(Exit.INTERRUPTED, None, self.progress)
            self._wait_while_paused()

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Mean validation loss, nats per target; its standard error over batches and what else is measured."""
        goal = self.parts.goal
        self.parts.wrapped.eval()
        with self.clock.timing("eval"), torch.no_grad():
            found = [self.parts.objective(goal.loss, batch).reshape(-1) for batch, _ in self._validation]
            written = {} if goal.write is None else goal.write()
        self.parts.wrapped.train()
        sums, counts = [float(part[0]) for part in found], [targets for _, targets in self._validation]
        mean = sum(sums) / sum(counts)
        square = sum(count * (part / count - mean) ** 2 for part, count in zip(sums, counts, strict=True) if count)
        error = (square / sum(counts) / max(len(sums) - 1, 1)) ** 0.5
        more = {**goal.measure(torch.stack(found).double().sum(dim=0), sum(counts)), **written}
        return mean, {"val_loss_se": error, **{f"val_{name}": value for name, value in more.items()}}

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
            is_main = self.parts.accelerator.is_main_process
            weights = self.whole_weights()
            optimizer = gathered(optimizer_tensors(self.parts.optimizers), keep=is_main)
            if is_main:
                self.curve.flush()
                self._samples.flush()
                self.judge.file.flush()
                save_checkpoint(
                    self.parts.job.checkpoints,
                    self.progress,
                    weights=weights,
                    optimizer=optimizer,
                    configuration=self._configuration(),
                    elapsed_s=self.clock.elapsed_s,
                    keep=self.parts.job.settings.keep_checkpoints,
                    good=self._is_good if self._rewinds else None,
                )
            self.parts.accelerator.wait_for_everyone()
        self.clock.saved()

    def whole_weights(self) -> dict[str, torch.Tensor]:
        """What was learned so far, on the first rank; to be called on every rank."""
        return gathered(self._weights(), keep=self.parts.accelerator.is_main_process)

    def _step(self) -> StopDecision | None:
        with self.clock.timing("step"):
            loss, grad_norm, measured = self._gradients()
            self.progress.step += 1
            if self.parts.optimizers.overflowed(grad_norm):  # of fp16: the scale is lowered, and that is all
                self._update(self.judge.factor(), grad_norm)
                return None
            decision = self.judge.before_update(loss, grad_norm)
            if decision is not None and decision.action == "stop":
                return decision
            if decision is not None:
                self._put_right(decision)
                return None
            factor = self.judge.factor()
            metrics = {"lr_factor": factor, **measured, **self._update(factor, grad_norm)}
        val_loss = None
        if self.progress.step % self.params.eval_every_steps == 0:
            val_loss, evaluated = self.evaluate()
            metrics |= evaluated
        self._record(loss, grad_norm, val_loss, metrics)
        return self.judge.after_step(loss, grad_norm, val_loss, metrics)

    def _update(self, factor: float, grad_norm: float) -> dict[str, float]:
        """Update the weights; by how much of themselves they changed, where a rule asks."""
        momentum = momentum_at(self.params.optimizer, self.progress.step - 1)
        if not self._wants_update_ratio:
            self.parts.optimizers.step(factor, grad_norm, momentum=momentum)
            return {}
        before = {name: whole(weight).clone() for name, weight in self._weights().items()}
        self.parts.optimizers.step(factor, grad_norm, momentum=momentum)
        change, size = 0.0, 0.0
        for name, weight in self._weights().items():
            change += float((whole(weight) - before[name]).square().sum())
            size += float(before[name].square().sum())
        return {UPDATE_RATIO: (change / max(size, 1e-30)) ** 0.5}

    def _put_right(self, decision: StopDecision) -> None:
        """Leave out the update of a bad step, or go back to the last good checkpoint and leave out the data since."""
        self.parts.optimizers.drop()
        bad, checkpoint = self.progress, None
        if decision.action == "rewind":
            checkpoint = newest_checkpoint(self.parts.job.checkpoints, self._is_good)
        if checkpoint is not None:
            self._restore(checkpoint)
            self.progress.skipped_steps = bad.skipped_steps + bad.step - self.progress.step
            self.progress.stop_states = after_rewind(self.progress.stop_states, bad.stop_states)
        what = f"back to step {self.progress.step}" if checkpoint is not None else "its update left out"
        log.warning("step %d: %s: %s; %s", bad.step, decision.rule, decision.reason, what)
        self.curve.add({"step": self.progress.step, "spike": f"{decision.rule}: {decision.reason}; {what}"})
        if checkpoint is not None:
            self.save()

    def _is_good(self, folder: Path) -> bool:
        """Whether a checkpoint is one of those to go back to: of an evaluation, so that the clock does not decide."""
        return int(folder.name.removeprefix("step-")) % self.params.eval_every_steps == 0

    @property
    def _rewinds(self) -> bool:
        spike = self.params.stop.loss_spike
        return spike is not None and spike.action == "rewind"

    @property
    def _wants_update_ratio(self) -> bool:
        return any(rules.no_change is not None for _, rules in mappings(self.params.stop))

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
            self.judge.use(self.parts)
        if lr_scale is not None:
            self.progress.lr_scale = lr_scale

    def _wait_while_paused(self) -> None:
        """Wait for the order to go on, or to end; everything is saved."""
        with self.clock.stopped():
            while self._paused and not self._is_any_interrupted() and self.progress.decision is None:
                time.sleep(_POLL_S)
                (orders,) = self._agree([self._orders.read_new()])
                for order in orders:
                    if self._obey(order):
                        self.save()

    def _gradients(self) -> tuple[float, float, dict[str, float]]:
        """Accumulate the gradient of the mean loss over all targets of the step; that loss, the norm, and metrics."""
        parts, accelerator = self.parts, self.parts.accelerator
        with self.clock.timing("data"):
            batch, targets = parts.batch(self.progress.step + self.progress.skipped_steps)
        micro = batch.split(self.machine.micro_blocks or len(batch))
        parts_of_sum = []
        for index, part in enumerate(micro):
            last = index == len(micro) - 1
            with nullcontext() if last else accelerator.no_sync(parts.wrapped):
                sums = parts.objective(parts.wrapped, part).reshape(-1)
                (sums[0] * (accelerator.num_processes / targets * parts.optimizers.loss_factor)).backward()
            parts_of_sum.append(sums.detach())
        total = accelerator.reduce(torch.stack(parts_of_sum).sum(dim=0), reduction="sum")
        loss_value = float(total[0]) / targets
        parts.optimizers.unscale()
        limit = self.params.optimizer.max_grad_norm or math.inf
        norm = whole(torch.nn.utils.clip_grad_norm_(parts.learned.values(), limit))
        return loss_value, float(norm), dict(parts.goal.measure(total.double(), targets))

    def _evaluate_last(self) -> None:
        """Evaluate the final weights, unless that was just done."""
        if self.progress.step % self.params.eval_every_steps:
            self.progress.last_val_loss, metrics = self.evaluate()
            self.progress.last_metrics = _besides_the_error(metrics)
            self.curve.add(
                {"step": self.progress.step, "val_loss": self.progress.last_val_loss, **self.progress.last_metrics}
            )

    def _record(self, loss: float, grad_norm: float, val_loss: float | None, metrics: Mapping[str, float]) -> None:
        progress = self.progress
        progress.window.append(loss)
        point: dict[str, Any] = {}
        if progress.step % self.params.record_every_steps == 0:
            tokens_per_s = self.parts.tokens_per_step / max(self.clock.mean_s("step"), 1e-9)
            point = {
                "loss": sum(progress.window) / len(progress.window),
                "grad_norm": grad_norm,
                **{name: value for name, value in metrics.items() if not name.startswith("val_")},
                "tokens": progress.step * self.parts.tokens_per_step,
                "tokens_per_s": tokens_per_s,
                "share_of_peak": self.machine.share_of_peak(tokens_per_s),
                **{f"{kind}_s": round(self.clock.mean_s(kind), 6) for kind in ("data", "step", "eval", "save")},
                "elapsed_s": round(self.clock.elapsed_s, 3),
                "left_s": self.judge.left_s(),
            }
            progress.window = []
        if val_loss is not None:
            point["val_loss"] = progress.last_val_loss = val_loss
            point |= {name: value for name, value in metrics.items() if name.startswith("val_")}
            progress.last_metrics = _besides_the_error(metrics)
            if math.isfinite(val_loss) and (progress.best_val_loss is None or val_loss < progress.best_val_loss):
                progress.best_val_loss, progress.best_step = val_loss, progress.step
                progress.best_metrics = progress.last_metrics
                self._keep_best()
            with self.clock.timing("sample"):
                self._samples.write(progress.step, progress.step // self.params.eval_every_steps)
        if point:
            self.curve.add({"step": progress.step, "time_ms": int(time.time() * 1000), **point})

    def _resume(self) -> None:
        checkpoint = newest_checkpoint(self.parts.job.checkpoints)
        if checkpoint is None:
            self.judge.progress, self.judge.clock = self.progress, self.clock
            self.judge.plan()
            self._cut(0)
            return
        self.clock = Clock(checkpoint.elapsed_s)
        self._restore(checkpoint)
        log.info("resumes after step %d", self.progress.step)

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Be where a checkpoint was written."""
        self._load_weights(checkpoint.tensors("weights"))
        load_optimizer_tensors(self.parts.optimizers, checkpoint.tensors("optimizer"))
        restore_random_states(checkpoint)
        self.progress = self.judge.progress = checkpoint.progress
        self.judge.clock = self.clock
        for edit in self.progress.edits:
            self.parts = self.parts.with_stop(edit["stop"])
        self.params = self.parts.job.params
        if self.progress.edits or self.progress.replan:
            self.progress.replan = False
            self.judge.use(self.parts)
        self._cut(self.progress.step)

    def _cut(self, step: int) -> None:
        """Drop what the logs have after a step."""
        for file in (self.curve, self._samples, self.judge.file):
            file.cut(step)

    def _keep_best(self) -> None:
        if not self.params.stop.patience:
            return
        weights = self.whole_weights()
        if self.parts.accelerator.is_main_process:
            save_best(self.parts.job.best, weights)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach() for name, parameter in self.parts.learned.items()}

    def _load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._weights().items():
            parameter.copy_(part_like(weights[name], parameter))

    def _agree(self, values: list[Any]) -> list[Any]:
        """The first rank's values, on every rank: nobody stops or saves alone."""
        return values if self.parts.accelerator.num_processes == 1 else broadcast_object_list(values)

    def _is_any_interrupted(self) -> bool:
        """Whether any rank was asked to leave: a machine that is about to go away tells its own ranks alone."""
        accelerator = self.parts.accelerator
        if accelerator.num_processes == 1:
            return self.interrupted
        asked = torch.tensor(float(self.interrupted), device=accelerator.device)
        return bool(accelerator.reduce(asked, reduction="sum") > 0)

    def _configuration(self) -> dict[str, Any]:
        return {
            "train": self.params.model_dump(mode="json"),
            "architecture": json.loads(self.parts.model.config.to_json_string()),
            "threads": self.parts.job.threads,
            "ranks": self.parts.accelerator.num_processes,
            "precision": precision_name(self.parts.dtype),
            "rates": asdict(self.parts.rates),
            "compiled": self.parts.compiled,
        }


def _besides_the_error(metrics: Mapping[str, float]) -> dict[str, float]:
    """What an evaluation measured besides the loss and its standard error."""
    return {name: value for name, value in metrics.items() if name.startswith("val_") and name != "val_loss_se"}
