"""Choosing the next token of one text: temperature, candidates, penalties, and the probabilities to report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tasks.serving.generator import Array, Chooser, Sampling

_GREEDY_BELOW = 1e-5
"""Temperatures under which logits divided by them would overflow; the likeliest token is certain by then."""


@dataclass(frozen=True)
class Rule:
    """How the tokens of one text are drawn. Temperature 0 always takes the likeliest."""

    temperature: float = 1.0
    top_k: int = 0
    """Only the k likeliest tokens; 0 for all."""
    top_p: float = 1.0
    """Only the likeliest tokens that together reach this probability."""
    seed: int | None = None
    index: int = 0
    """Which of the texts of a request: each has random numbers of its own from the same seed."""
    frequency_penalty: float = 0.0
    """Taken from a token's logit for each time that it was made."""
    presence_penalty: float = 0.0
    """Taken from a token's logit once it was made."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens."""
    top_logprobs: int | None = None
    """How many alternatives to report with each token; None reports no probability at all."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A token with its log probability before temperature and candidates, and the likeliest alternatives."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws the tokens of one text."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.made: Counter[int] = Counter()
        greedy = rule.temperature < _GREEDY_BELOW
        sampling = Sampling(
            temperature=1.0 if greedy else rule.temperature,
            top_k=rule.top_k,
            top_p=rule.top_p,
            seed=rule.seed,
            greedy=greedy,
        )
        self.chooser = Chooser(sampling, rule.index)
        self.is_plain = not (rule.frequency_penalty or rule.presence_penalty or rule.logit_bias)
        self.candidates = rule.top_k if self.is_plain and not greedy else 0
        """Texts with the same number of them can be drawn together; 0 for those that are drawn alone."""

    def choose(self, logits: Array) -> Scored:
        """The next token from the logits (vocabulary)."""
        token = self.chooser.choose(logits if self.is_plain else self._shifted(logits))
        if not self.is_plain:
            self.made[token] += 1
        return scored(token, logits, self.rule.top_logprobs)

    def _shifted(self, logits: Array) -> Array:
        """Logits with bias and penalties, by the formula of OpenAI's API reference."""
        shifted = logits.astype(np.float64)
        for token, bias in self.rule.logit_bias.items():
            shifted[token] += bias
        for token, count in self.made.items():
            shifted[token] -= count * self.rule.frequency_penalty + self.rule.presence_penalty
        return shifted


def scored(token: int, logits: Array, top_logprobs: int | None) -> Scored:
    """A token with what is to be reported of it; None reports nothing."""
    if top_logprobs is None:
        return Scored(token)
    logprobs = log_softmax(logits)
    top: tuple[tuple[int, float], ...] = ()
    if top_logprobs:
        few = np.argsort(-logprobs, kind="stable")[:top_logprobs]
        top = tuple((int(other), float(logprobs[other])) for other in few)
    return Scored(token, float(logprobs[token]), top)


def log_softmax(logits: Array) -> Any:
    """Log probabilities of logits (vocabulary)."""
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())
