"""The model, how it learns and when it stops."""

from typing import Literal

from pydantic import Field, model_validator

from params.base import Params
from params.optimizer import OptimizerParams, ScheduleParams


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


class TrainParams(Params):
    """Training from scratch on packed blocks."""

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
