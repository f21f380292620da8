"""Keys and values of the texts under way: rows of a batch that come and go while the others stay.

A text is first read alone (`begin`, `extend` by pieces of the prompt), then joins the batch as its last row; when a
row is removed the last one takes its place. Rows of any lengths go on together, and what a row becomes does not depend
on the others.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tasks.serving.cache import cache_dtype, cache_names, present_name
from tasks.serving.generator import Array, GrowingCache, OnnxModel, Settings
from tasks.serving.shared_rows import SharedRows


class Rows(Protocol):
    """What a batch of texts is to whoever runs it."""

    def begin(self) -> None:
        """Make room for a text that is to be read."""

    def extend(self, tokens: Sequence[int]) -> Array:
        """Read further tokens of that text; gives the logits (new, vocabulary) after each of them."""

    def join(self) -> None:
        """Put that text into the batch, as the last row."""

    def drop(self) -> None:
        """Forget that text."""

    def step(self, tokens: Sequence[int]) -> Array:
        """Add one token to each row; gives the logits (rows, vocabulary) after them, good until the next step."""

    def remove(self, row: int) -> None:
        """Forget a row; the last one takes its place."""


def rows_of(model: OnnxModel, *, max_rows: int) -> Rows:
    """The kind of rows that a model can run."""
    return make_rows(model.session, model.settings, max_rows=max_rows) if model.encoder is None else PairRows(model)


def make_rows(session: Any, settings: Settings, *, max_rows: int) -> Rows:
    """The kind of rows that a graph can run."""
    return SharedRows(session, settings, max_rows) if settings.in_place_cache else GrowingRows(session, settings)


def row_bytes(session: Any, settings: Settings) -> int:
    """Memory of the keys and values of one text as long as the context."""
    places = 2 * settings.num_layers * settings.num_kv_heads * settings.context_length * settings.head_dim
    return places * cache_dtype(session).itemsize


class PairRows:
    """Rows of an encoder-decoder, each with the graphs to itself: one after the other takes its step.

    Its prompt is read whole, for every token that an encoder reads sees those behind it.
    """

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.caches: list[GrowingCache] = []
        self.prompt: list[int] = []
        self.staged = GrowingCache(model, 1)

    def begin(self) -> None:
        """Make room for a text that is to be read."""
        self.prompt = []

    def extend(self, tokens: Sequence[int]) -> Array:
        """Read further tokens of a prompt; gives the logits of the first token to write, for each of them."""
        self.prompt += tokens
        self.staged = GrowingCache(self.model, 1)
        logits = self._cut(self.staged.step(np.array([self.prompt], np.int64), 0))
        return np.broadcast_to(logits, (len(tokens), logits.shape[-1]))

    def join(self) -> None:
        """Put that text into the batch, as the last row."""
        self.caches.append(self.staged)

    def drop(self) -> None:
        """Forget that text."""
        self.prompt = []

    def step(self, tokens: Sequence[int]) -> Array:
        """Add one token to each row; gives the logits (rows, vocabulary) after them."""
        rows = zip(self.caches, tokens, strict=True)
        return self._cut(np.concatenate([cache.step(np.array([[token]], np.int64), 0) for cache, token in rows]))

    def remove(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        self.caches[row] = self.caches[-1]
        self.caches.pop()

    def _cut(self, logits: Array) -> Array:
        return logits[:, : self.model.settings.vocab_size]


class GrowingRows:
    """Rows of graphs whose cache each step makes anew, one longer: padded on the left, so that rows end together."""

    def __init__(self, session: Any, settings: Settings) -> None:
        self.session, self.settings = session, settings
        self.outputs = [output.name for output in session.get_outputs()]
        self.takes_positions = any(tensor.name == "position_ids" for tensor in session.get_inputs())
        self.lengths: list[int] = []
        self.past = self._empty(0)
        self.staged: dict[str, Array] = {}
        self.staged_length = 0

    def begin(self) -> None:
        """Make room for a text that is to be read."""
        self.staged, self.staged_length = self._empty(1), 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Read further tokens of that text; gives the logits (new, vocabulary) after each of them."""
        begin, self.staged_length = self.staged_length, self.staged_length + len(tokens)
        positions = np.arange(begin, self.staged_length)[None]
        mask = np.ones((1, self.staged_length), np.int64)
        logits, self.staged = self._run(np.array([tokens], np.int64), mask, positions, self.staged)
        return np.asarray(logits[0])

    def join(self) -> None:
        """Put that text into the batch, as the last row."""
        width = max([*self.lengths, self.staged_length])
        for name, held in self.past.items():
            self.past[name] = np.concatenate([_padded(held, width), _padded(self.staged[name], width)])
        self.lengths.append(self.staged_length)
        self.staged = {}

    def drop(self) -> None:
        """Forget that text."""
        self.staged = {}

    def step(self, tokens: Sequence[int]) -> Array:
        """Add one token to each row; gives the logits (rows, vocabulary) after them."""
        before = np.array(self.lengths)[:, None]
        self.lengths = [length + 1 for length in self.lengths]
        width = max(self.lengths)
        mask = (np.arange(width) >= width - np.array(self.lengths)[:, None]).astype(np.int64)
        logits, self.past = self._run(np.array(tokens, np.int64)[:, None], mask, before, self.past)
        return logits[:, -1]

    def remove(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        kept = [*range(len(self.lengths))]
        kept[row] = kept[-1]
        kept.pop()
        self.lengths = [self.lengths[index] for index in kept]
        width = max(self.lengths, default=0)
        self.past = {name: held[kept][:, :, held.shape[2] - width :] for name, held in self.past.items()}

    def _run(
        self, tokens: Array, mask: Array, positions: Array, past: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        feeds = {"input_ids": tokens, "attention_mask": mask, **past}
        if self.takes_positions:
            feeds["position_ids"] = positions.astype(np.int64)
        made = dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))
        return made["logits"][..., : self.settings.vocab_size], {name: made[present_name(name)] for name in past}

    def _empty(self, rows: int) -> dict[str, Array]:
        shape = (rows, self.settings.num_kv_heads, 0, self.settings.head_dim)
        return {name: np.zeros(shape, cache_dtype(self.session)) for name in cache_names(self.settings)}


def _padded(held: Array, width: int) -> Array:
    """Keys or values (rows, heads, length, size) with zeros before them up to a width."""
    return np.pad(held, ((0, 0), (0, 0), (width - held.shape[2], 0), (0, 0)))
