"""Rows of a batch on graphs that write new keys and values into the buffers they read the old ones from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from tasks.serving.cache import cache_dtype, cache_names, present_name
from tasks.serving.generator import DTYPES, Array, Settings

_FIRST_CAPACITY = 16


class SharedRows:
    """Rows in one buffer that graphs with grouped-query attention write to.

    Such a graph takes each row's length from its attention mask and puts new keys right behind the old ones, so rows
    of different lengths stand side by side without gaps, and nothing is copied from step to step.
    """

    def __init__(self, session: Any, settings: Settings, max_rows: int) -> None:
        self.session, self.settings = session, settings
        self.max_rows, self.capacity = max_rows, 0
        self.buffers: dict[str, Array] = {name: self._empty(0) for name in cache_names(settings)}
        self.lengths: list[int] = []
        self.staged: int | None = None
        self.pieces: dict[int, _Piece] = {}
        self.steps: dict[int, _Steps] = {}

    def begin(self) -> None:
        """Make room for a text that is to be read."""
        self.staged = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Read further tokens of that text; gives the logits (new, vocabulary) after each of them."""
        assert self.staged is not None
        row = len(self.lengths)
        self.staged += len(tokens)
        self._make_room(self.staged)
        if row not in self.pieces:
            self.pieces[row] = _Piece(self.session, self.buffers, row, row + 1)
        return self.pieces[row].run(tokens, self.staged)[:, : self.settings.vocab_size]

    def join(self) -> None:
        """Put that text into the batch, as the last row."""
        assert self.staged is not None
        self.lengths.append(self.staged)
        self.staged = None

    def drop(self) -> None:
        """Forget that text."""
        self.staged = None

    def step(self, tokens: Sequence[int]) -> Array:
        """Add one token to each row; gives the logits (rows, vocabulary) after them, good until the next step."""
        self.lengths = [length + 1 for length in self.lengths]
        self._make_room(max(self.lengths))
        rows = len(self.lengths)
        if rows not in self.steps:
            self.steps[rows] = _Steps(self.session, self.buffers, rows)
        return self.steps[rows].run(tokens, self.lengths)[:, : self.settings.vocab_size]

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
        self.pieces.clear()
        self.steps.clear()

    def _move(self, source: int, target: int, length: int) -> None:
        if source != target:
            for buffer in self.buffers.values():
                buffer[target, :, :length] = buffer[source, :, :length]


class _Bound:
    """Some neighbouring rows of the buffers bound to the graph, which reads and writes them where they are."""

    def __init__(self, session: Any, buffers: dict[str, Array], start: int, stop: int) -> None:
        self.session = session
        self.binding = session.io_binding()
        self.values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(buffer[start:stop]) for name, buffer in buffers.items()
        }
        for name, value in self.values.items():
            self.binding.bind_ortvalue_input(name, value)
            self.binding.bind_ortvalue_output(present_name(name), value)


class _Piece(_Bound):
    """A row that reads pieces of its prompt, of any length."""

    def run(self, tokens: Sequence[int], length: int) -> Array:
        """Logits (new, vocabulary) after each of the newest tokens; the row has this length with them."""
        self.binding.bind_cpu_input("input_ids", np.array([tokens], np.int64))
        self.binding.bind_cpu_input("attention_mask", np.ones((1, length), np.int64))
        self.binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(self.binding)
        return np.asarray(self.binding.get_outputs()[-1].numpy()[0])


class _Steps(_Bound):
    """The first rows, which take one token at a time.

    With a mask as wide as the buffers, zero behind each text, all steps have the same shapes and are bound once.
    """

    def __init__(self, session: Any, buffers: dict[str, Array], rows: int) -> None:
        super().__init__(session, buffers, 0, rows)
        capacity = next(iter(buffers.values())).shape[2]
        output = next(output for output in session.get_outputs() if output.name == "logits")
        self.places = np.arange(capacity)
        self.tokens, self.mask = np.zeros((rows, 1), np.int64), np.zeros((rows, capacity), np.int64)
        self.logits = made = np.zeros((rows, 1, output.shape[-1]), DTYPES[output.type])
        self.binding.bind_cpu_input("input_ids", self.tokens)
        self.binding.bind_cpu_input("attention_mask", self.mask)
        self.binding.bind_output("logits", "cpu", 0, made.dtype, made.shape, made.ctypes.data)

    def run(self, tokens: Sequence[int], lengths: Sequence[int]) -> Array:
        """Logits (rows, vocabulary) after one token of each row, which have these lengths with them."""
        self.tokens[:, 0] = tokens
        np.less(self.places, np.array(lengths)[:, None], out=self.mask)
        self.session.run_with_iobinding(self.binding)
        return self.logits[:, 0]
