"""Continuous batching: texts join and leave the batch between any two steps of the model."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tasks.serving.draws import choose
from tasks.serving.generator import Array
from tasks.serving.rows import Rows
from tasks.serving.sampling import Rule, Sampler, Scored, scored

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class Job:
    """A text to continue."""

    prompt: tuple[int, ...]
    rule: Rule
    max_tokens: int
    """Most new tokens; 0 only reads the prompt."""
    end_tokens: frozenset[int]
    """Tokens that end the text; the one that does is left out."""
    scores_prompt: bool = False
    """Report the prompt's own tokens too, with the probabilities that rule.top_logprobs asks for."""


@dataclass(frozen=True, slots=True)
class Emission:
    """What a step made of one text."""

    token: Scored | None = None
    finish: Finish | None = None
    prompt: tuple[Scored, ...] = ()
    """Tokens of the prompt with their probabilities, where they were asked for."""


class Text:
    """A text under way."""

    def __init__(self, job: Job, *, room: int) -> None:
        self.job = job
        self.budget = min(job.max_tokens, room - len(job.prompt))
        self.sampler = Sampler(job.rule)
        self.cancelled = False
        self.num_read = 0
        self.num_made = 0
        self.newest = -1
        self.prompt_scores: list[Scored] = []

    def cancel(self) -> None:
        """Nobody wants it any more; the next step lets it go. May be called from any thread."""
        self.cancelled = True


@dataclass
class Batch:
    """The texts under way and those that wait, and the step that brings all of them on."""

    rows: Rows
    max_rows: int
    prefill_tokens: int
    waiting: deque[Text] = field(default_factory=deque)
    reading: Text | None = None
    active: list[Text] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        """Nothing is to be done."""
        return not (self.active or self.reading or self.waiting)

    @property
    def texts(self) -> list[Text]:
        """All of them."""
        return [*self.active, *([self.reading] if self.reading else []), *self.waiting]

    def step(self) -> list[tuple[Text, Emission]]:
        """Read a bounded piece of the next prompts, then add a token to each text under way."""
        self._let_go()
        emitted = self._read()
        if self.active:
            logits = self.rows.step([text.newest for text in self.active])
            chosen = choose([text.sampler for text in self.active], logits)
            made = [(text, self._emission(text, token)) for text, token in zip(self.active, chosen, strict=True)]
            emitted += made
            self._remove([row for row, (_, emission) in enumerate(made) if emission.finish])
        return emitted

    def _let_go(self) -> None:
        """Forget what was cancelled."""
        if any(text.cancelled for text in self.waiting):
            self.waiting = deque(text for text in self.waiting if not text.cancelled)
        if self.reading is not None and self.reading.cancelled:
            self.rows.drop()
            self.reading = None
        self._remove([row for row, text in enumerate(self.active) if text.cancelled])

    def _remove(self, rows: Sequence[int]) -> None:
        for row in reversed(rows):
            self.rows.remove(row)
            self.active[row] = self.active[-1]
            self.active.pop()

    def _read(self) -> list[tuple[Text, Emission]]:
        emitted: list[tuple[Text, Emission]] = []
        budget = self.prefill_tokens
        while budget > 0 and (text := self._next()) is not None:
            piece = text.job.prompt[text.num_read : text.num_read + budget]
            logits = self.rows.extend(piece)
            budget -= len(piece)
            if text.job.scores_prompt:
                _score_prompt(text, logits)
            text.num_read += len(piece)
            if text.num_read == len(text.job.prompt):
                emitted.append((text, self._begin(text, logits[-1])))
        return emitted

    def _next(self) -> Text | None:
        """The text whose prompt is being read."""
        if self.reading is None and self.waiting and len(self.active) < self.max_rows:
            self.reading = self.waiting.popleft()
            self.rows.begin()
        return self.reading

    def _begin(self, text: Text, logits: Array) -> Emission:
        """The first token of a text whose prompt was read whole; it joins the batch if more are to come."""
        self.reading = None
        scores = tuple(text.prompt_scores)
        if text.budget <= 0:
            self.rows.drop()
            return Emission(finish="length", prompt=scores)
        emission = self._emission(text, text.sampler.choose(logits), scores)
        if emission.finish:
            self.rows.drop()
        else:
            self.rows.join()
            self.active.append(text)
        return emission

    def _emission(self, text: Text, token: Scored, prompt: tuple[Scored, ...] = ()) -> Emission:
        text.newest = token.token
        if token.token in text.job.end_tokens:
            return Emission(finish="stop", prompt=prompt)
        text.num_made += 1
        return Emission(token, "length" if text.num_made >= text.budget else None, prompt)


def _score_prompt(text: Text, logits: Array) -> None:
    """Note the probability of each token of the prompt: it is in the logits after the one before."""
    prompt, top = text.job.prompt, text.job.rule.top_logprobs
    if text.num_read == 0:
        text.prompt_scores.append(Scored(prompt[0]))
    following = prompt[text.num_read + 1 : text.num_read + 1 + len(logits)]
    text.prompt_scores += [scored(token, row, top) for token, row in zip(following, logits, strict=False)]
