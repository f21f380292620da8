"""Many texts to token ids at once: a fast encoder, checked against the reference one, which stands in for it."""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import fastokens
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tasks.tokenizer.files import TOKENIZER, load_tokenizer, vocab_size
from tasks.tokenizer.words import ENCODING_BOUND, cut_text, has_our_words

log = logging.getLogger(__name__)
Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]
_CHECKED_SHARE, _CHECKED_CHARACTERS = 0.005, 1_000
"""What is encoded twice of the characters of a call, and at least so many: the reference takes 20 times as long."""
_PROBES = tuple(
    f"ab{chr(code)}cd {chr(code)}{chr(code)} 明{chr(code)}。{chr(code)}\n"
    for code in (*range(0x3100), *range(0xFE00, 0x10000))
)
"""Each sign, space and letter that regular expression engines may see differently, among words of two scripts."""


class Encoder:
    """Encodes text as text: no special tokens are added, and none is read from a spelling."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reference: Tokenizer = load_tokenizer(folder)
        self.vocab_size = vocab_size(self.reference)
        self._cuts = has_our_words(self.reference)
        self._fast = _fast_tokenizer(folder)
        if self._fast is not None and not self._agree(_PROBES, *self._encode_fast(self._fast, _PROBES)):
            log.warning("fastokens does not agree with tokenizers on this vocabulary; tokenizers is used, slower")
            self._fast = None

    def __reduce__(self) -> tuple[type["Encoder"], tuple[Path]]:
        """Pickled as the folder: another process loads the same vocabulary."""
        return Encoder, (self._folder,)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        """Ids of all texts, one after the other, and the bounds of each: text i is ids[offsets[i]:offsets[i + 1]].

        A sample of every call is encoded by the reference too; where the two differ, the reference encodes all of the
        call, and the log says so. What a call gives depends on its texts alone, not on the calls before it.
        """
        if self._fast is None or not texts:
            return self._encode_by_reference(texts)
        try:
            ids, offsets = self._encode_fast(self._fast, texts)
        except ValueError as error:  # its regular expressions have limits that one text can meet
            log.warning("fastokens cannot encode some text (%s); tokenizers does, slower", error)
            return self._encode_by_reference(texts)
        if self._agree(_sample(texts), ids, offsets):
            return ids, offsets
        log.warning("fastokens does not agree with tokenizers on some text; tokenizers encodes it, slower")
        return self._encode_by_reference(texts)

    def _agree(self, texts: Sequence[str], ids: Ids, offsets: Offsets) -> bool:
        """Whether the reference gives the same ids for the first texts."""
        expected, bounds = self._encode_by_reference(texts)
        return np.array_equal(expected, ids[: bounds[-1]]) and np.array_equal(bounds, offsets[: len(bounds)])

    @staticmethod
    def _encode_fast(fast: "fastokens.Tokenizer", texts: Sequence[str]) -> tuple[Ids, Offsets]:
        ids, offsets = fast.encode_batch_flat(list(texts), split_special_tokens=True)
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64).astype(np.int64)

    def _encode_by_reference(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        rows = [self._encode_text(text) for text in texts]
        offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        return np.concatenate([np.empty(0, np.uint32), *rows]), offsets

    def _encode_text(self, text: str) -> Ids:
        """Long texts in pieces where the words are ours, for the reference takes a hundred bytes for each of a text."""
        pieces = list(cut_text(text, ENCODING_BOUND)) if self._cuts else [text]
        made = self.reference.encode_batch_fast(pieces, add_special_tokens=False)
        return np.array([token for encoding in made for token in encoding.ids], np.uint32)


def _sample(texts: Sequence[str]) -> Sequence[str]:
    """The first texts, few enough that encoding them twice costs little; none where the first is long."""
    sizes = list(accumulate(map(len, texts)))
    most = max(_CHECKED_CHARACTERS, _CHECKED_SHARE * sizes[-1])
    return texts[: bisect_right(sizes, most)]


def _fast_tokenizer(folder: Path) -> "fastokens.Tokenizer | None":
    try:
        return fastokens.Tokenizer.from_file(str(folder / TOKENIZER))
    except ValueError as error:
        log.warning("fastokens cannot read this vocabulary (%s); tokenizers is used, slower", error)
        return None
