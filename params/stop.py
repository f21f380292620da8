"""When training ends: rules that combine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Optional

from pydantic import ConfigDict, Field, model_validator

from params.base import Params

Direction = Literal["down", "up"]


class _Part(Params):
    model_config = ConfigDict(allow_inf_nan=False)


class AfterParams(_Part):
    """A grace period: over once everything that is set here has passed."""

    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training blocks."""
    tokens: int | None = Field(default=None, ge=1)
    """Training tokens."""
    minutes: float | None = Field(default=None, gt=0)
    """Minutes of training, earlier attempts included."""
    evals: int | None = Field(default=None, ge=1)
    """Evaluations."""

    @model_validator(mode="after")
    def _is_some_time(self) -> "AfterParams":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("set at least one of steps, epochs, tokens, minutes, evals")
        return self


class PatienceParams(_Part):
    """Stop when a metric no longer gains."""

    evals: int = Field(default=5, ge=1)
    """Values of the metric in a row without a gain: evaluations for val_loss, steps for loss."""
    min_delta: float = Field(default=0.0, ge=0)
    """Change, against the last accepted best, that counts as a gain (nats per token for val_loss)."""
    relative: bool = False
    """Take min_delta as a share of the last accepted best: 0.01 is one per cent."""
    min_z: float | None = Field(default=None, gt=0)
    """Standard errors of the evaluation that a gain must exceed too; the metric NAME_se must be logged."""
    metric: str = "val_loss"
    """Name of the logged metric."""
    direction: Direction = "down"
    """Whether the metric gains by going down or up."""


class PlateauParams(_Part):
    """Stop when a line through the last values of a metric is flat."""

    evals: int | None = Field(default=None, ge=4)
    """Length of the window in values of the metric (evaluations for val_loss); this or steps."""
    steps: int | None = Field(default=None, ge=20)
    """Length of the window in optimizer steps; this or evals."""
    min_gain: float = Field(default=0.01, ge=0)
    """Gain of the fitted line over the window below which the metric counts as flat."""
    relative: bool = False
    """Take min_gain as a share of the metric's median in the window."""
    metric: str = "val_loss"
    """Name of the logged metric."""
    direction: Direction = "down"
    """Whether the metric gains by going down or up."""

    @model_validator(mode="after")
    def _has_one_window(self) -> "PlateauParams":
        if (self.evals is None) == (self.steps is None):
            raise ValueError("set the window by evals or by steps, one of the two")
        return self


class MetricParams(_Part):
    """Stop when a logged metric passes a bound."""

    name: str
    """Name of the logged metric."""
    above: float | None = None
    """Stop at this or more; this or below."""
    below: float | None = None
    """Stop at this or less; this or above."""
    in_a_row: int = Field(default=1, ge=1)
    """Values in a row that must be past the bound."""

    @model_validator(mode="after")
    def _has_one_bound(self) -> "MetricParams":
        if (self.above is None) == (self.below is None):
            raise ValueError("set the bound by above or by below, one of the two; all and any join two metric rules")
        return self


class TargetTrainLossParams(_Part):
    """Stop when the smoothed training loss is low enough."""

    loss: float = Field(gt=0)
    """Nats per token to reach."""
    smoothing_steps: int = Field(default=50, ge=1)
    """Steps that the exponential mean looks back on, and the fewest before it is trusted."""


class CostParams(_Part):
    """Stop before the run costs more than this; evaluation, saving and earlier attempts are paid for too."""

    limit: float = Field(gt=0)
    """Most that the run may cost, in the currency of the price."""
    price_per_hour: float = Field(gt=0)
    """Price of an hour of all machines of the run."""


class GradientNoiseParams(_Part):
    """Stop when the gradient drowns in its own noise."""

    ratio: float = Field(default=1.0, gt=0)
    """Gradient norm, as a multiple of its noise, below which nothing more is learned."""
    steps: int = Field(default=200, ge=20)
    """Steps whose median norm is compared with the noise: the metric grad_noise if logged, else the norm's spread."""


class NoChangeParams(_Part):
    """Stop when the weights no longer move."""

    rate: float = Field(gt=0)
    """Norm of the update relative to the norm of the weights, per step, below which they count as still."""
    steps: int = Field(default=100, ge=1)
    """Steps in a row below the rate."""


class DivergenceParams(_Part):
    """Break off when the loss leaves its running level for good."""

    deviations: float = Field(default=6.0, gt=0)
    """Robust standard deviations (1.4826 MAD) over the median of the window."""
    steps: int = Field(default=50, ge=1)
    """Steps in a row above that."""
    window: int = Field(default=200, ge=20)
    """Steps that make the running level; those above it do not count into it."""


class LossSpikeParams(_Part):
    """What to do about a step whose loss leaps over its running level."""

    action: Literal["skip_step", "rewind", "stop"] = "skip_step"
    """Leave out its update, go back to the last good checkpoint and leave out the data since, or break off."""
    deviations: float = Field(default=10.0, gt=0)
    """Robust standard deviations (1.4826 MAD) over the median of the window."""
    window: int = Field(default=200, ge=20)
    """Steps that make the running level."""
    max_times: int = Field(default=3, ge=1)
    """Spikes dealt with in within_steps; one more breaks the run off."""
    within_steps: int = Field(default=1000, ge=1)
    """Steps in which spikes are counted."""


class MemorisationParams(_Part):
    """Stop when validation lags so far behind training that the text is being learned by heart."""

    max_gap: float = Field(gt=0)
    """Validation loss minus smoothed training loss, nats per token."""
    evals: int = Field(default=3, ge=1)
    """Evaluations in a row with a larger gap."""
    smoothing_steps: int = Field(default=100, ge=1)
    """Steps that the exponential mean of the training loss looks back on."""


class CommandParams(_Part):
    """Stop when a command says so by exit code 0; the first line that it prints is the reason."""

    run: str = Field(min_length=1)
    """Program with arguments, without a shell; GRISTMILL_STEP, _LOSS and _VAL_LOSS are in its environment."""
    every_s: float | None = Field(default=None, gt=0)
    """Seconds between two calls; null for 60 unless every_evals is set."""
    every_evals: int | None = Field(default=None, ge=1)
    """Evaluations between two calls instead."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds after which a call is ended and counts for nothing; training goes on meanwhile."""

    @model_validator(mode="after")
    def _has_one_rhythm(self) -> "CommandParams":
        if self.every_s is not None and self.every_evals is not None:
            raise ValueError("set every_s or every_evals, one of the two")
        return self


class RulesParams(_Part):
    """Rules of which any one suffices."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""
    max_epochs: float | None = Field(default=None, gt=0)
    """Passes over the training blocks."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Training tokens."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Minutes of training, evaluation, saving and earlier attempts included; the end depends on the machine's speed."""
    max_cost: CostParams | None = None
    """Stop before the run costs more; null to turn it off."""
    patience: PatienceParams | None = None
    """Stop when a metric no longer gains; null to turn it off."""
    plateau: PlateauParams | None = None
    """Stop when a line through the last values of a metric is flat; null to turn it off."""
    target_loss: float | None = Field(default=None, gt=0)
    """Stop when the validation loss reaches this (nats per token)."""
    target_train_loss: TargetTrainLossParams | None = None
    """Stop when the smoothed training loss reaches a value; null to turn it off."""
    metric: MetricParams | None = None
    """Stop when a logged metric passes a bound; null to turn it off."""
    gradient_noise: GradientNoiseParams | None = None
    """Stop when the gradient drowns in its own noise; null to turn it off."""
    no_change: NoChangeParams | None = None
    """Stop when the weights no longer move; null to turn it off."""
    memorisation: MemorisationParams | None = None
    """Stop when validation lags too far behind training; null to turn it off."""
    divergence: DivergenceParams | None = None
    """Break off when the loss leaves its running level for good; null to turn it off."""
    file: Path | None = None
    """Stop when this file appears; its first line is the reason."""
    command: CommandParams | None = None
    """Stop when a command says so; null to turn it off."""
    any: tuple["RulesParams", ...] | None = None
    """Mappings of rules of which any one suffices."""
    all: tuple["RulesParams", ...] | None = None
    """Mappings of rules that must hold at the same time."""
    not_: Optional["RulesParams"] = Field(default=None, alias="not")
    """A mapping of rules none of which may hold; of use inside all."""
    after: AfterParams | None = None
    """Grace period of this mapping: what judges the curves is watched but cannot fire before; limits, files and
    commands are not delayed."""

    @model_validator(mode="after")
    def _has_rules(self) -> "RulesParams":
        for name, group in (("any", self.any), ("all", self.all)):
            if group is not None and not group:
                raise ValueError(f"{name} of nothing: give it a list of rules, or null to turn it off")
        if not list(self.rules()):
            raise ValueError("names no rule; give it one, such as max_steps, or leave the mapping out")
        return self

    @model_validator(mode="after")
    def _grace_delays_something(self) -> "RulesParams":
        if self.after is not None and all(name in NOT_DELAYED for name in self.rules()):
            raise ValueError(f"after delays nothing here: {', '.join(self.rules())} are not subject to it")
        return self

    def rules(self) -> Iterator[str]:
        """Keys of the rules and groups that are on, in their order."""
        for name in type(self).model_fields:
            if name != "after" and getattr(self, name) is not None:
                yield "not" if name == "not_" else name


NOT_DELAYED = frozenset({"max_steps", "max_epochs", "max_tokens", "max_minutes", "max_cost", "file", "command"})
"""Rules that no grace period delays: a budget is never exceeded, and whoever asks is heard."""
_ENDS = ("max_steps", "max_epochs", "max_tokens", "max_minutes", "patience", "max_cost", "plateau")


class StopParams(RulesParams):
    """When training ends: the first rule that fires; non-finite numbers always end it."""

    loss_spike: LossSpikeParams | None = None
    """What to do about a step whose loss leaps; null to take it as it comes."""

    @model_validator(mode="after")
    def _ends_some_day(self) -> "StopParams":
        if not _ends(self):
            raise ValueError(
                f"set at least one of {', '.join(_ENDS)}, or any or all of these: nothing else is sure to end a run"
            )
        return self


def _ends(rules: RulesParams) -> bool:
    """Whether a mapping has a rule that fires some day whatever is learned."""
    return (
        any(getattr(rules, name) is not None for name in _ENDS)
        or any(_ends(inner) for inner in rules.any or ())
        or (rules.all is not None and all(_ends(inner) for inner in rules.all))
    )
