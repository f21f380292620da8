"""The model, how it learns and when it stops."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from params.base import Params
from params.encode import EncodeParams
from params.model import LoraParams, ModelParams
from params.objective import OF_ENCODER_DECODERS, Objective, PreferenceParams, SpanParams
from params.optimizer import OptimizerParams, ScheduleParams
from params.stop import StopParams


class PhaseParams(Params):
    """One phase of training: what it does otherwise than the rest of the section says; null for the same."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    """Name of the phase; its result and its curves are called train.NAME."""
    approve: bool = False
    """Wait until a person approves before it starts; the phases before it are done and can be looked at."""
    mixture: dict[str, float] | None = None
    """Weights of the sources in its token blocks; null for what shard.mixture says."""
    objective: Objective | None = None
    """What it learns."""
    encode: EncodeParams | None = None
    """The examples it learns from, laid over the section encode."""
    preference: PreferenceParams | None = None
    """Settings of the objective preference."""
    spans: SpanParams | None = None
    """Settings of the objective span_corruption."""
    lora: LoraParams | None = None
    """Learn adapters beside the frozen weights of the phase before (of train.model.from_weights in the first phase)."""
    optimizer: OptimizerParams | None = None
    """Settings of the update rule that differ."""
    schedule: ScheduleParams | None = None
    """Settings of the learning rate that differ."""
    stop: StopParams | None = None
    """When it ends, in the place of train.stop."""
    batch_blocks: int | None = Field(default=None, ge=1)
    """Blocks per optimizer step, over all ranks."""
    micro_blocks: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Blocks per forward pass of one rank."""
    eval_every_steps: int | None = Field(default=None, ge=1)
    """Steps between two evaluations."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the data order."""
    branch_from: str | None = None
    """Checkpoint folder of this phase in another run to go on from."""


class TrainParams(Params):
    """Training on packed blocks, in one go or in phases."""

    model: ModelParams = ModelParams()
    """The architecture."""
    objective: Objective = "language_model"
    """What is learned: the next token of text (language_model), answers (instruct), which answer is better
    (preference), a label (classify), or for t5 dropped spans (span_corruption) and other texts (seq2seq)."""
    preference: PreferenceParams = PreferenceParams()
    """Settings of the objective preference."""
    spans: SpanParams = SpanParams()
    """Settings of the objective span_corruption."""
    optimizer: OptimizerParams = OptimizerParams()
    """The update rule."""
    schedule: ScheduleParams = ScheduleParams()
    """The learning rate over time."""
    stop: StopParams = StopParams(max_epochs=1)
    """When to end."""
    batch_blocks: int = Field(default=8, ge=1)
    """Blocks per optimizer step, over all ranks."""
    micro_blocks: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Blocks per forward pass of one rank; null for all of the rank's share. Smaller saves memory. auto tries what fits
    and is fastest on this machine, once, before the first step."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Arithmetic of the matrix products; auto takes bf16 where the processor has it."""
    checkpoint_activations: bool = False
    """Keep only the input of each block and compute the rest again: less memory, a third more time."""
    eval_every_steps: int = Field(default=100, ge=1)
    """Steps between two evaluations on the validation split."""
    eval_blocks: int = Field(default=64, ge=1)
    """Most validation blocks of each such evaluation."""
    record_every_steps: int = Field(default=10, ge=1)
    """Steps whose mean loss makes one point of the recorded curves."""
    seed: int = Field(default=1, ge=0)
    """Seed of initial weights and data order."""
    branch_from: str | None = None
    """Checkpoint folder of another run to go on from, optimizer and all; gristmill branch sets it."""
    phases: tuple[PhaseParams, ...] = ()
    """Phases one after the other, each from the weights of the one before; empty for a single one as above."""

    def of_phase(self, phase: PhaseParams) -> Self:
        """The section as one phase has it."""
        elsewhere = {"name", "approve", "mixture", "encode", "lora", "optimizer", "schedule"}
        own = phase.model_dump(exclude=elsewhere, exclude_none=True)
        is_first = not self.phases or phase.name == self.phases[0].name
        lora = phase.lora or (self.model.lora if is_first else None)
        own["model"] = self.model.model_dump() | {"lora": lora}
        for name in ("optimizer", "schedule"):
            if (section := getattr(phase, name)) is not None:
                own[name] = getattr(self, name).model_dump() | section.model_dump(exclude_unset=True)
        return self.model_validate(self.model_dump(exclude={"phases", "branch_from"}) | own)

    @model_validator(mode="after")
    def _phases_are_sound(self) -> Self:
        if self.phases and self.branch_from is not None:
            raise ValueError("branch_from: with phases, set it in the phase that goes on from the checkpoint")
        names = [phase.name for phase in self.phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"phases: two are called {name!r}; their results need names of their own")
        for phase in self.phases:
            self.of_phase(phase)
        if labels := [phase.name for phase in self.phases[:-1] if phase.objective == "classify"]:
            raise ValueError(
                f"phases: {labels[0]} makes a classifier, which no later phase can go on from; put it last"
            )
        first = self.phases[0].lora if self.phases else None
        if first is not None and self.model.from_weights is None:
            raise ValueError(
                "phases: lora of the first phase adapts existing weights; name them in model.from_weights, or set it "
                "in a later phase"
            )
        return self

    @model_validator(mode="after")
    def _objective_fits_the_architecture(self) -> Self:
        if self.model.from_weights is not None or self.phases:  # weights say later; each phase is asked by itself
            return self
        encodes, name = self.model.architecture == "t5", self.objective
        if encodes and name not in OF_ENCODER_DECODERS:
            raise ValueError(f"t5 cannot learn by {name}; set objective to {' or '.join(OF_ENCODER_DECODERS)}")
        if not encodes and name in OF_ENCODER_DECODERS:
            raise ValueError(f"{name} needs an encoder; set model.architecture to t5, or another objective")
        return self

    @model_validator(mode="after")
    def _cosine_knows_its_end(self) -> "TrainParams":
        stop = self.stop
        if self.schedule.name == "cosine" and not (stop.max_steps or stop.max_tokens or stop.max_epochs):
            raise ValueError("the cosine schedule needs stop.max_steps, max_tokens or max_epochs; or use wsd")
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> "TrainParams":
        if isinstance(self.micro_blocks, int) and self.batch_blocks % self.micro_blocks:
            raise ValueError(f"micro_blocks {self.micro_blocks} must divide batch_blocks {self.batch_blocks}")
        return self
