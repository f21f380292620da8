"""The model, how it learns and when it stops."""

from typing import Literal, Self

from pydantic import Field, model_validator

from params.base import Params


class ModelParams(Params):
    """A standard transformers architecture, built from scratch."""

    architecture: Literal["qwen3", "llama", "gpt2"] = "qwen3"
    """Model class; vocabulary and context come from the tokenizer and the token shards."""
    layers: int = Field(default=6, ge=1)
    """Transformer blocks."""
    width: int = Field(default=256, ge=8)
    """Width of the residual stream."""
    heads: int = Field(default=4, ge=1)
    """Attention heads."""
    kv_heads: int | None = Field(default=None, ge=1)
    """Key/value heads (grouped-query attention); null for as many as heads. Unused by gpt2."""
    ffn_width: int | None = Field(default=None, ge=8)
    """Width of the feed-forward layer; null for 8/3 of width (gated) or 4 times width (gpt2)."""
    tie_embeddings: bool = True
    """Use one matrix for input embeddings and output logits."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParams":
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {self.heads}")
        return self


class OptimizerParams(Params):
    """Muon on the hidden matrices with AdamW on the rest, or AdamW on everything."""

    name: Literal["muon", "adamw"] = "muon"
    """muon reached the same loss in about half the tokens of adamw on small models."""
    muon_lr: float = Field(default=0.02, gt=0)
    """Peak learning rate of the hidden matrices under muon (Jordan et al. 2024)."""
    lr: float = Field(default=3e-3, gt=0)
    """Peak learning rate of everything that AdamW updates."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of matrices."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the gradient mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's decay of the squared gradient."""
    newton_schulz_steps: int = Field(default=3, ge=1, le=10)
    """Muon's orthogonalization steps."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Clip the global gradient norm to this; null for no clipping."""


class ScheduleParams(Params):
    """Learning rate over the run, as a factor of its peak."""

    name: Literal["wsd", "cosine", "constant"] = "wsd"
    """Warm-up-stable-decay, warm-up with cosine, or warm-up then constant."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps of linear warm-up."""
    decay_fraction: float = Field(default=0.3, gt=0, lt=1)
    """wsd: share of the run spent in the linear decay; it starts early when a stop rule fires."""
    final_factor: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a factor of its peak."""


class PatienceParams(Params):
    """Stop when validation no longer gains."""

    evals: int = Field(default=5, ge=1)
    """Evaluations in a row without a gain."""
    min_delta: float = Field(default=0.0, ge=0)
    """Fall of the validation loss, against the last accepted best, that counts as a gain (nats per token)."""


class StopParams(Params):
    """When training ends: the first rule that fires; at least one limit must be set."""

    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""
    max_epochs: float | None = Field(default=None, gt=0)
    """Passes over the training blocks."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Training tokens."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Minutes of training, evaluation, saving and earlier attempts included; the end depends on the machine's speed."""
    patience: PatienceParams | None = None
    """Stop when validation no longer gains; null to turn it off."""
    target_loss: float | None = Field(default=None, gt=0)
    """Stop when the validation loss reaches this (nats per token)."""

    @model_validator(mode="after")
    def _ends_some_day(self) -> "StopParams":
        limits = (self.max_steps, self.max_epochs, self.max_tokens, self.max_minutes, self.patience)
        if all(limit is None for limit in limits):
            raise ValueError("set at least one of max_steps, max_epochs, max_tokens, max_minutes, patience")
        return self


class PhaseParams(Params):
    """One phase of training: what it does otherwise than the rest of the section says; null for the same."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    """Name of the phase; its result and its curves are called train.NAME."""
    approve: bool = False
    """Wait until a person approves before it starts; the phases before it are done and can be looked at."""
    mixture: dict[str, float] | None = None
    """Weights of the sources in its token blocks; null for what shard.mixture says."""
    optimizer: OptimizerParams | None = None
    """Settings of the update rule that differ."""
    schedule: ScheduleParams | None = None
    """Settings of the learning rate that differ."""
    stop: StopParams | None = None
    """When it ends, in the place of train.stop."""
    batch_blocks: int | None = Field(default=None, ge=1)
    """Blocks per optimizer step, over all ranks."""
    micro_blocks: int | None = Field(default=None, ge=1)
    """Blocks per forward pass of one rank."""
    eval_every_steps: int | None = Field(default=None, ge=1)
    """Steps between two evaluations."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the data order."""


class TrainParams(Params):
    """Training on packed blocks, in one go or in phases."""

    model: ModelParams = ModelParams()
    """The architecture."""
    optimizer: OptimizerParams = OptimizerParams()
    """The update rule."""
    schedule: ScheduleParams = ScheduleParams()
    """The learning rate over time."""
    stop: StopParams = StopParams(max_epochs=1)
    """When to end."""
    batch_blocks: int = Field(default=8, ge=1)
    """Blocks per optimizer step, over all ranks."""
    micro_blocks: int | None = Field(default=None, ge=1)
    """Blocks per forward pass of one rank; null for all of the rank's share. Smaller saves memory."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of the matrix products; auto takes bf16 where the processor has it."""
    eval_every_steps: int = Field(default=100, ge=1)
    """Steps between two evaluations on the validation split."""
    eval_blocks: int = Field(default=64, ge=1)
    """Most validation blocks of each such evaluation."""
    record_every_steps: int = Field(default=10, ge=1)
    """Steps whose mean loss makes one point of the recorded curves."""
    seed: int = Field(default=1, ge=0)
    """Seed of initial weights and data order."""
    phases: tuple[PhaseParams, ...] = ()
    """Phases one after the other, each from the weights of the one before; empty for a single one as above."""

    def of_phase(self, phase: PhaseParams) -> Self:
        """The section as one phase has it."""
        own = phase.model_dump(exclude={"name", "approve", "mixture", "optimizer", "schedule"}, exclude_none=True)
        for name in ("optimizer", "schedule"):
            if (section := getattr(phase, name)) is not None:
                own[name] = getattr(self, name).model_dump() | section.model_dump(exclude_unset=True)
        return self.model_validate(self.model_dump(exclude={"phases"}) | own)

    @model_validator(mode="after")
    def _phases_are_sound(self) -> Self:
        names = [phase.name for phase in self.phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"phases: two are called {name!r}; their results need names of their own")
        for phase in self.phases:
            self.of_phase(phase)
        return self

    @model_validator(mode="after")
    def _cosine_knows_its_end(self) -> "TrainParams":
        stop = self.stop
        if self.schedule.name == "cosine" and not (stop.max_steps or stop.max_tokens or stop.max_epochs):
            raise ValueError("the cosine schedule needs stop.max_steps, max_tokens or max_epochs; or use wsd")
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> "TrainParams":
        if self.micro_blocks is not None and self.batch_blocks % self.micro_blocks:
            raise ValueError(f"micro_blocks {self.micro_blocks} must divide batch_blocks {self.batch_blocks}")
        return self
