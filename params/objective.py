"""What a phase of training learns, and the settings of the objectives that have some."""

from typing import Literal

from pydantic import Field

from params.base import Params

Objective = Literal["language_model", "instruct", "preference", "classify", "span_corruption", "seq2seq"]
FROM_EXAMPLES: tuple[Objective, ...] = ("instruct", "preference", "classify", "seq2seq")
"""Objectives that learn from examples of their own (stage encode); the others learn from the token blocks."""
IN_CHAT: tuple[Objective, ...] = ("instruct", "preference")
"""Objectives whose examples are conversations, which a chat template renders."""
OF_ENCODER_DECODERS: tuple[Objective, ...] = ("span_corruption", "seq2seq")
"""Objectives that need an encoder, as t5 has; the others need a model without one."""
BY_ROWS: tuple[Objective, ...] = ("classify", "span_corruption", "seq2seq")
"""Objectives whose models are judged by held-out rows, where others go on writing a text and are judged by that."""
SENTINEL = "<extra_id_{}>"
"""Spelling of the token that stands for a dropped span, as T5 has it."""


class PreferenceParams(Params):
    """Direct preference optimization (Rafailov et al. 2023): the phase's start is the reference."""

    beta: float = Field(default=0.1, gt=0)
    """How strongly the model is held to the reference: the scale of the rewards."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the pairs whose order is taken to be wrong (conservative DPO, Mitchell 2023)."""


class SpanParams(Params):
    """Span corruption (Raffel et al. 2020, section 3.1.4): sentinels stand for dropped spans, which are the target."""

    noise_density: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that are dropped."""
    mean_span_length: float = Field(default=3.0, ge=1)
    """Mean length of a dropped span, in tokens."""

    def num_dropped(self, length: int) -> int:
        """Tokens that are dropped of a text."""
        return min(max(round(length * self.noise_density), 1), length - 1)

    def num_spans(self, length: int) -> int:
        """Spans that are dropped of a text: as many as a vocabulary needs sentinels."""
        dropped = self.num_dropped(length)
        return max(1, min(round(dropped / self.mean_span_length), length - dropped))
