"""What a model must prove before people are served by it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from params.base import Params


class LimitParams(Params):
    """The allowed range of one figure, ends included."""

    min: float | None = None
    """Smallest value that passes; null for no lower end."""
    max: float | None = None
    """Largest value that passes; null for no upper end."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a limit needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class ChampionParams(Params):
    """How a new model is compared with the champion: by a paired bootstrap over the same documents or conversations."""

    mode: Literal["better", "no_worse"] = "better"
    """better: the gain must exceed margin; no_worse: the loss of quality must not exceed it."""
    margin: float = Field(default=0.0, ge=0)
    """Bits per byte, of the answers where training ended with conversations; of classifiers accuracy (0 to 1)."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """How sure that must be (one-sided)."""
    bootstrap_samples: int = Field(default=2_000, ge=100)
    """Resamples of the documents."""
    seed: int = Field(default=1, ge=0)
    """Seed of the bootstrap."""


class GateParams(Params):
    """Every condition is checked and told; one that is null is off."""

    limits: dict[str, LimitParams] = Field(default_factory=dict)
    """Ranges of figures of evaluation.json by dotted name, such as test.bits_per_byte: {max: 1.5}."""
    max_loss_increase: float | None = Field(default=0.05, gt=0)
    """Largest rise of the served file's loss over the fp32 graph and over the trained model, in nats per token (of
    classifiers per text)."""
    min_greedy_agreement: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of greedy tokens, up to the first that differs, that the served file has in common with fp32."""
    min_agreement: float | None = Field(default=0.98, ge=0, le=1)
    """Smallest share of held-out rows on which the served file says what the trained model says; of models that are
    judged by rows (classify, seq2seq)."""
    min_over_majority: float | None = Field(default=0.0, ge=0, lt=1)
    """A classifier's accuracy must be above that of always saying the commonest label by more than this, with the
    confidence of the evaluation's intervals."""
    max_contaminated: float | None = Field(default=0.05, ge=0, le=1)
    """Largest share of each evaluation set that the training text contains (evaluate.contamination)."""
    max_size_mb: float | None = Field(default=None, gt=0)
    """Largest served graph with its weights, in megabytes (10^6 bytes)."""
    min_decode_tokens_per_s: float | None = Field(default=None, gt=0)
    """Slowest decoding of one text on the machine that compressed the model."""
    champion: ChampionParams = ChampionParams()
    """The comparison with the champion."""
