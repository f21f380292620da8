"""Keys and values of the texts under way: rows of a batch that come and go while the others stay.

A text is first read alone (`begin`, `extend` by pieces of the prompt), then joins the batch as its last row; when a
row is removed the last one takes its place. Rows of any lengths go on together, and what a row becomes does not depend
on the others.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime

from tasks.serving.generator import DTYPES, Array, GrowingCache, OnnxModel, Settings

_FIRST_CAPACITY = 16


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
        """Add one token to each row; gives the logits (rows, vocabulary) after them."""

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


def cache_dtype(session: Any) -> "np.dtype[Any]":
    """The type of the graph's keys and values."""
    return next(DTYPES[tensor.type] for tensor in session.get_inputs() if tensor.name.startswith("past_key_values."))


def _names(settings: Settings) -> list[str]:
    return [f"past_key_values.{layer}.{kind}" for layer in range(settings.num_layers) for kind in ("key", "value")]


def _present(past: str) -> str:
    return past.replace("past_key_values", "present")


class SharedRows:
    """Rows in one buffer that graphs with grouped-query attention write to.

    Such a graph takes each row's length from its attention mask and puts new keys right behind the old ones, so rows
    of different lengths stand side by side without gaps, and nothing is copied from step to step.
    """

    def __init__(self, session: Any, settings: Settings, max_rows: int) -> None:
        self.session, self.settings = session, settings
        self.max_rows, self.capacity = max_rows, 0
        self.buffers: dict[str, Array] = {name: self._empty(0) for name in _names(settings)}
        self.lengths: list[int] = []
        self.staged: int | None = None
        self.bindings: dict[tuple[int, int], _Binding] = {}

    def begin(self) -> None:
        """Make room for a text that is to be read."""
        self.staged = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Read further tokens of that text; gives the logits (new, vocabulary) after each of them."""
        assert self.staged is not None
        row = len(self.lengths)
        self.staged += len(tokens)
        mask = np.ones((1, self.staged), np.int64)
        return np.asarray(self._run(row, row + 1, np.array([tokens], np.int64), mask)[0])

    def join(self) -> None:
        """Put that text into the batch, as the last row."""
        assert self.staged is not None
        self.lengths.append(self.staged)
        self.staged = None

    def drop(self) -> None:
        """Forget that text."""
        self.staged = None

    def step(self, tokens: Sequence[int]) -> Array:
        """Add one token to each row; gives the logits (rows, vocabulary) after them."""
        self.lengths = [length + 1 for length in self.lengths]
        mask = (np.arange(max(self.lengths)) < np.array(self.lengths)[:, None]).astype(np.int64)
        return self._run(0, len(self.lengths), np.array(tokens, np.int64)[:, None], mask)[:, -1]

    def remove(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        last = len(self.lengths) - 1
        self._move(last, row, self.lengths[last])
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if self.staged is not None:
            self._move(last + 1, last, self.staged)

    def _empty(self, capacity: int) -> Array:
        """Untouched pages of zeros take no memory, so rows cost what they hold, not what they could."""
        shape = (self.max_rows, self.settings.num_kv_heads, capacity, self.settings.head_dim)
        return np.zeros(shape, cache_dtype(self.session))

    def _make_room(self, length: int) -> None:
        """Double the buffers until a row of this length fits: attention is slower the longer they are, used or not."""
        if length <= self.capacity:
            return
        held, wanted = self.capacity, max(_FIRST_CAPACITY, 1 << (length - 1).bit_length())
        self.capacity = min(wanted, self.settings.context_length)
        for name, buffer in self.buffers.items():
            self.buffers[name] = self._empty(self.capacity)
            self.buffers[name][:, :, :held] = buffer
        self.bindings.clear()

    def _move(self, source: int, target: int, length: int) -> None:
        if source != target:
            for buffer in self.buffers.values():
                buffer[target, :, :length] = buffer[source, :, :length]

    def _run(self, start: int, stop: int, tokens: Array, mask: Array) -> Array:
        self._make_room(mask.shape[1])
        if (start, stop) not in self.bindings:
            self.bindings[start, stop] = _Binding(self.session, self.buffers, start, stop)
        return self.bindings[start, stop].run(tokens, mask)[..., : self.settings.vocab_size]


class _Binding:
    """Some neighbouring rows of the buffers bound to the graph, which reads and writes them where they are."""

    def __init__(self, session: Any, buffers: dict[str, Array], start: int, stop: int) -> None:
        self.session = session
        self.binding = session.io_binding()
        self.values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(buffer[start:stop]) for name, buffer in buffers.items()
        }
        for name, value in self.values.items():
            self.binding.bind_ortvalue_input(name, value)
            self.binding.bind_ortvalue_output(_present(name), value)

    def run(self, tokens: Array, mask: Array) -> Array:
        """Logits (batch, new, vocabulary)."""
        self.binding.bind_cpu_input("input_ids", tokens)
        self.binding.bind_cpu_input("attention_mask", mask)
        self.binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(self.binding)
        return np.asarray(self.binding.get_outputs()[-1].numpy())


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
        return made["logits"][..., : self.settings.vocab_size], {name: made[_present(name)] for name in past}

    def _empty(self, rows: int) -> dict[str, Array]:
        shape = (rows, self.settings.num_kv_heads, 0, self.settings.head_dim)
        return {name: np.zeros(shape, cache_dtype(self.session)) for name in _names(self.settings)}


def _padded(held: Array, width: int) -> Array:
    """Keys or values (rows, heads, length, size) with zeros before them up to a width."""
    return np.pad(held, ((0, 0), (0, 0), (width - held.shape[2], 0), (0, 0)))
