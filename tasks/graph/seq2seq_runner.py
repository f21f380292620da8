"""Running the two graphs of an encoder-decoder model: encode once, then one token after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from tasks.serving.generator import Settings

Array = npt.NDArray[Any]
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
_ERRORS_ONLY = 3


class Seq2SeqModel:
    """A served folder with encoder.onnx, decoder.onnx and generation.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings.load(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
        options.log_severity_level = _ERRORS_ONLY
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in (ENCODER, DECODER)
        )
        self._cross = [output.name for output in self._encoder.get_outputs()]
        self._past = [i.name for i in self._decoder.get_inputs() if i.name.startswith("past_key_values.")]

    def logits(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Array:
        """Logits (batch, time, vocabulary) after each token of `targets`, which are equally long, without a cache."""
        seen = self._encode(sources)
        return self._decode(np.array(targets, np.int64), seen, self._no_past(len(targets)))[0]

    def greedy(self, sources: Sequence[Sequence[int]], new: int, *, start: int, end: int) -> list[list[int]]:
        """The likeliest tokens of each row, up to the end of text, with the cache."""
        seen, past = self._encode(sources), self._no_past(len(sources))
        tokens = np.full((len(sources), 1), start, np.int64)
        rows: list[list[int]] = [[] for _ in sources]
        going = [True] * len(sources)
        for _ in range(new):
            scores, past = self._decode(tokens, seen, past)
            tokens = scores[:, -1:, : self.settings.vocab_size].argmax(-1)
            going = [on and int(token) != end for on, token in zip(going, tokens[:, 0], strict=True)]
            for row, on, token in zip(rows, going, tokens[:, 0], strict=True):
                if on:
                    row.append(int(token))
            if not any(going):
                break
        return rows

    def _encode(self, sources: Sequence[Sequence[int]]) -> dict[str, Array]:
        """The encoder's keys and values with its mask; shorter rows are padded on the right."""
        width, pad = max(map(len, sources)), self.settings.pad_token_id
        tokens = np.array([[*row, *[pad] * (width - len(row))] for row in sources], np.int64)
        mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in sources], np.int64)
        made = self._encoder.run(self._cross, {"input_ids": tokens, "attention_mask": mask})
        return {"attention_mask": mask, **dict(zip(self._cross, made, strict=True))}

    def _decode(self, tokens: Array, seen: dict[str, Array], past: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        logits, *grown = self._decoder.run(None, {"input_ids": tokens} | seen | past)
        return np.asarray(logits), dict(zip(self._past, grown, strict=True))

    def _no_past(self, rows: int) -> dict[str, Array]:
        empty = np.zeros((rows, self.settings.num_kv_heads, 0, self.settings.head_dim), np.float32)
        return dict.fromkeys(self._past, empty)
