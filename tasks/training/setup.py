"""The parts of a training run, built from its job."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import torch
from accelerate import Accelerator

from params.run import Parallel
from params.stop import StopParams
from params.train import TrainParams
from tasks.model.lora import learned_parameters
from tasks.model.start import StartedModel, start_model
from tasks.shards.blocks import evenly
from tasks.tokenizer.files import SpecialIds, special_ids
from tasks.training.batch import Batch
from tasks.training.extent import extent_of, read_labels
from tasks.training.feeds import Feed, joined, share
from tasks.training.goal import Goal, make_goal
from tasks.training.job import Job
from tasks.training.objective import Objective, arithmetic, can_compile, checkpoint_activations, make_objective
from tasks.training.optimizers import Optimizers, make_optimizers
from tasks.training.order import DataOrder
from tasks.training.rates import Rates, Start, choose_rates
from tasks.training.sharding import share_out, split_layers
from tasks.training.stopping.making import make_rules, step_budget
from tasks.training.stopping.tree import Node

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Parts:
    """What the loop works with."""

    job: Job
    accelerator: Accelerator
    ids: SpecialIds
    started: StartedModel
    goal: Goal
    """Data, loss and metrics of what is learned."""
    wrapped: torch.nn.Module
    """What runs: the same, its weights shared out or not, or DDP around it."""
    rates: Rates
    optimizers: Optimizers
    objective: Objective
    order: DataOrder
    rules: list[Node]
    planned_steps: int | None
    dtype: torch.dtype | None
    compiled: bool

    @cached_property
    def learned(self) -> "dict[str, torch.nn.Parameter]":
        """The parameters that are learned, by name."""
        return learned_parameters(self.model)

    @property
    def model(self) -> "PreTrainedModel":
        """The plain model."""
        return self.started.model

    @property
    def shares_weights(self) -> bool:
        """Whether a rank holds but a part of the weights: then every rank takes part wherever they are used."""
        return self.accelerator.num_processes > 1 and self.job.settings.parallel != "ddp"

    @property
    def tokens_per_step(self) -> int:
        """Positions of a step, over all ranks."""
        return self.job.params.batch_blocks * self.goal.train.context

    def with_stop(self, values: dict[str, Any]) -> Self:
        """The same with other stop rules: `values` are laid over those of the parameters."""
        params = self.job.params
        stop = StopParams.model_validate(params.stop.model_dump() | values)
        job = self.job.model_copy(update={"params": params.model_copy(update={"stop": stop})})
        budget, rules = _ending(job.params, self.goal.train)
        return replace(self, job=job, rules=rules, planned_steps=budget)

    def batch(self, step: int) -> tuple[Batch, int]:
        """This rank's share of a step's blocks, and what the loss of the whole step is a sum over."""
        feed, accelerator = self.goal.train, self.accelerator
        rows = feed.read(self.order.batch(step), step + 1)
        mine = share(rows, accelerator.process_index, accelerator.num_processes)
        return feed.batch(mine, accelerator.device), feed.count(rows)

    def validation_batches(self, size: int) -> list[tuple[Batch, int]]:
        """The validation blocks, the same every time, filled up with empty ones to batches of equal shape."""
        feed = self.goal.validation
        rows = feed.read(evenly(len(feed), self.job.params.eval_blocks), 0)
        rows = joined(rows, feed.empty(-len(rows[0]) % size))
        parts = [tuple(array[start : start + size] for array in rows) for start in range(0, len(rows[0]), size)]
        return [(feed.batch(part, self.accelerator.device), feed.count(part)) for part in parts]


def set_up(job: Job) -> Parts:
    """Build model, data and rules on this rank."""
    params = job.params
    use_cuda = torch.cuda.is_available() and job.settings.device != "cpu"
    torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("high")
    torch.use_deterministic_algorithms(True, warn_only=use_cuda)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it
    accelerator = Accelerator(cpu=not use_cuda, mixed_precision="no")
    ids = special_ids(job.tokenizer)
    started = _start(job, extent_of(job.shards, params.objective).context)
    model = started.model.to(accelerator.device)
    if params.checkpoint_activations:
        checkpoint_activations(model)
    goal = make_goal(params, started, ids, shards=job.shards, tokenizer=job.tokenizer)
    dtype = arithmetic(params.precision, accelerator.device)
    compiled = job.settings.compile and can_compile(accelerator.device)
    tokens_per_step = params.batch_blocks * goal.train.context
    kind: Start = "adapters" if started.adapter is not None else "weights" if job.weights or job.start else "scratch"
    rates = choose_rates(
        params.optimizer,
        width=model.config.hidden_size,
        batch_tokens=tokens_per_step,
        start=kind,
        gently=params.objective == "preference",
    )
    budget, rules = _ending(params, goal.train)
    return Parts(
        job=job,
        accelerator=accelerator,
        ids=ids,
        started=started,
        goal=goal,
        wrapped=_wrap(accelerator, goal.loss, model, parallel=job.settings.parallel),
        rates=rates,
        optimizers=make_optimizers(params.optimizer, model, rates, dtype=dtype),
        objective=make_objective(accelerator.device, dtype=dtype, compiled=compiled),
        order=DataOrder(len(goal.train), batch_blocks=params.batch_blocks, seed=params.seed),
        rules=rules,
        planned_steps=budget,
        dtype=dtype,
        compiled=compiled,
    )


def _wrap(
    accelerator: Accelerator, loss: torch.nn.Module, model: "PreTrainedModel", *, parallel: Parallel
) -> torch.nn.Module:
    """What runs on this rank; its parameters are those that the optimizers are made of."""
    if parallel == "ddp" or accelerator.num_processes == 1:
        wrapped: torch.nn.Module = accelerator.prepare(loss)
        return wrapped
    share_out(loss, split_layers(model), parallel=parallel)
    return loss


def _ending(params: TrainParams, train: Feed) -> tuple[int | None, list[Node]]:
    """The planned number of steps, None for an open end, and the stop rules."""
    tokens_per_step, steps_per_epoch = params.batch_blocks * train.context, len(train) / params.batch_blocks
    budget = step_budget(params.stop, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    rules = make_rules(params.stop, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    return budget.limit if budget else None, rules


def _start(job: Job, context: int) -> StartedModel:
    """The model of an earlier phase, of the weights that the parameters name, or from scratch."""
    params, weights = job.params.model, job.weights
    if job.start is not None:
        params, weights = params.model_copy(update={"from_weights": str(job.start)}), job.start
    labels = read_labels(job.shards) if job.params.objective == "classify" else ()
    return start_model(
        params, weights=weights, tokenizer=job.tokenizer, context=context, seed=job.params.seed, labels=labels
    )


def plain_start(parts: Parts, learned: dict[str, torch.Tensor]) -> StartedModel:
    """A model as training began with, in main memory, with whole weights put in: to be saved."""
    started = _start(parts.job, parts.goal.train.context)
    with torch.no_grad():
        for name, parameter in learned_parameters(started.model).items():
            parameter.copy_(learned[name])
    return started
