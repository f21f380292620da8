"""Many texts to token ids at once: a fast encoder, checked against the reference one, which stands in for it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import fastokens
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tasks.tokenizer.files import TOKENIZER, load_tokenizer, vocab_size

log = logging.getLogger(__name__)
Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]
_CHECKED_TEXTS = 16
_PROBES = tuple(
    f"ab{chr(code)}cd {chr(code)}{chr(code)} 明{chr(code)}。{chr(code)}\n"
    for code in (*range(0x3100), *range(0xFE00, 0x10000))
)
"""Each sign, space and letter that regular expression engines may see differently, among words of two scripts."""


class Encoder:
    """Encodes text as text: no special tokens are added, and none is read from a spelling."""

    def __init__(self, folder: Path) -> None:
        self.reference: Tokenizer = load_tokenizer(folder)
        self.vocab_size = vocab_size(self.reference)
        self._fast = _fast_tokenizer(folder)
        if self._fast is not None:
            self.encode(_PROBES)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        """Ids of all texts, one after the other, and the bounds of each: text i is ids[offsets[i]:offsets[i + 1]].

        The probes and the first texts of every call are encoded by the reference too; where the two differ, the
        reference is used from then on, and the log says so.
        """
        if self._fast is None or not texts:
            return self._encode_by_reference(texts)
        raw_ids, raw_offsets = self._fast.encode_batch_flat(list(texts), split_special_tokens=True)
        ids, offsets = np.frombuffer(raw_ids, np.uint32), np.frombuffer(raw_offsets, np.uint64).astype(np.int64)
        expected, bounds = self._encode_by_reference(texts if texts is _PROBES else texts[:_CHECKED_TEXTS])
        if np.array_equal(ids[: len(expected)], expected) and np.array_equal(offsets[: len(bounds)], bounds):
            return ids, offsets
        log.warning("fastokens does not agree with tokenizers on this vocabulary; tokenizers is used, slower")
        self._fast = None
        return self._encode_by_reference(texts)

    def _encode_by_reference(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        encoded = [encoding.ids for encoding in self.reference.encode_batch_fast(list(texts), add_special_tokens=False)]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in encoded])]).astype(np.int64)
        return np.array([i for ids in encoded for i in ids], dtype=np.uint32), offsets


def _fast_tokenizer(folder: Path) -> "fastokens.Tokenizer | None":
    try:
        return fastokens.Tokenizer.from_file(str(folder / TOKENIZER))
    except ValueError as error:
        log.warning("fastokens cannot read this vocabulary (%s); tokenizers is used, slower", error)
        return None
