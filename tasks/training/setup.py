"""The parts of a training run, built from its job."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from accelerate import Accelerator

from params.stop import StopParams
from params.train import TrainParams
from tasks.model.start import StartedModel, start_model
from tasks.shards.blocks import Blocks, evenly
from tasks.tokenizer.files import SpecialIds, special_ids
from tasks.training.batch import Batch, make_batch, num_targets
from tasks.training.job import Job
from tasks.training.objective import (
    Objective,
    TokenLoss,
    arithmetic,
    can_compile,
    checkpoint_activations,
    make_objective,
)
from tasks.training.optimizers import Optimizers, make_optimizers
from tasks.training.order import DataOrder
from tasks.training.rates import Rates, Start, choose_rates
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
    loss: TokenLoss
    """The model with its loss."""
    wrapped: torch.nn.Module
    """What runs: the same, or DDP around it."""
    rates: Rates
    optimizers: Optimizers
    objective: Objective
    train: Blocks
    validation: Blocks
    order: DataOrder
    rules: list[Node]
    planned_steps: int | None
    dtype: torch.dtype | None
    compiled: bool

    @property
    def model(self) -> "PreTrainedModel":
        """The plain model."""
        return self.started.model

    @property
    def tokens_per_step(self) -> int:
        """Positions of a step, over all ranks."""
        return self.job.params.batch_blocks * self.train.context

    def with_stop(self, values: dict[str, Any]) -> Self:
        """The same with other stop rules: `values` are laid over those of the parameters."""
        params = self.job.params
        stop = StopParams.model_validate(params.stop.model_dump() | values)
        job = self.job.model_copy(update={"params": params.model_copy(update={"stop": stop})})
        budget, rules = _ending(job.params, self.train)
        return replace(self, job=job, rules=rules, planned_steps=budget)

    def batch(self, step: int) -> tuple[Batch, int]:
        """This rank's share of a step's blocks, and the targets of the whole step."""
        blocks = self.train[self.order.batch(step)]
        mine = blocks[self.accelerator.process_index :: self.accelerator.num_processes]
        return self._tensors(mine), num_targets(blocks, self.ids.padding)

    def validation_batches(self, rows: int) -> list[tuple[Batch, int]]:
        """The validation blocks, the same every time, filled up with padding to batches of equal shape."""
        indices = evenly(len(self.validation), self.job.params.eval_blocks)
        blocks = self.validation[indices]
        missing = -len(blocks) % rows
        blocks = np.concatenate([blocks, np.full((missing, blocks.shape[1]), self.ids.padding)])
        parts = [blocks[start : start + rows] for start in range(0, len(blocks), rows)]
        return [(self._tensors(part), num_targets(part, self.ids.padding)) for part in parts]

    def _tensors(self, blocks: np.typing.NDArray[np.int64]) -> Batch:
        device = self.accelerator.device
        return make_batch(blocks, begin=self.ids.begin, padding=self.ids.padding, device=device)


def set_up(job: Job) -> Parts:
    """Build model, data and rules on this rank."""
    params = job.params
    use_cuda = torch.cuda.is_available() and job.settings.device != "cpu"
    torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("high")
    torch.use_deterministic_algorithms(True, warn_only=use_cuda)
    accelerator = Accelerator(cpu=not use_cuda, mixed_precision="no")
    ids = special_ids(job.tokenizer)
    train = Blocks(sorted((job.shards / "train").glob("*.arrow")))
    validation = Blocks(sorted((job.shards / "validation").glob("*.arrow")))
    started = _start(job, train.context)
    model = started.model.to(accelerator.device)
    if params.checkpoint_activations:
        checkpoint_activations(model)
    loss = TokenLoss(model)
    dtype = arithmetic(params.precision, accelerator.device)
    compiled = job.settings.compile and can_compile(accelerator.device)
    tokens_per_step = params.batch_blocks * train.context
    kind: Start = "adapters" if started.adapter is not None else "weights" if job.weights or job.start else "scratch"
    rates = choose_rates(params.optimizer, width=model.config.hidden_size, batch_tokens=tokens_per_step, start=kind)
    budget, rules = _ending(params, train)
    return Parts(
        job=job,
        accelerator=accelerator,
        ids=ids,
        started=started,
        loss=loss,
        wrapped=accelerator.prepare(loss),
        rates=rates,
        optimizers=make_optimizers(params.optimizer, model, rates, dtype=dtype),
        objective=make_objective(accelerator.device, dtype=dtype, compiled=compiled),
        train=train,
        validation=validation,
        order=DataOrder(len(train), batch_blocks=params.batch_blocks, seed=params.seed),
        rules=rules,
        planned_steps=budget,
        dtype=dtype,
        compiled=compiled,
    )


def _ending(params: TrainParams, train: Blocks) -> tuple[int | None, list[Node]]:
    """The planned number of steps, None for an open end, and the stop rules."""
    tokens_per_step, steps_per_epoch = params.batch_blocks * train.context, len(train) / params.batch_blocks
    budget = step_budget(params.stop, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    rules = make_rules(params.stop, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    return budget.limit if budget else None, rules


def _start(job: Job, context: int) -> StartedModel:
    """The model of an earlier phase, of the weights that the parameters name, or from scratch."""
    params, weights = job.params.model, job.weights
    if job.start is not None:
        params, weights = params.model_copy(update={"from_weights": str(job.start), "lora": None}), job.start
    return start_model(params, weights=weights, tokenizer=job.tokenizer, context=context, seed=job.params.seed)


def world_size() -> int:
    """Ranks of this training, as torchrun set them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
