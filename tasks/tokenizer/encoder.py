"""Many texts to token ids at once: a fast encoder, checked against the reference one, which stands in for it."""

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import fastokens
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tasks.tokenizer.files import TOKENIZER, load_tokenizer, vocab_size
from tasks.tokenizer.words import ENCODING_BOUND, cut_text, has_our_words

# Workers share the shards, so each encodes in its own thread; further ones would wait for each other by spinning.
os.environ.setdefault("FASTOKENS_BPE_THREADS", "1")

log = logging.getLogger(__name__)
Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]
_CHECKED_SHARE, _CHECKED_CHARACTERS = 0.005, 1_000
"""What is encoded twice of the characters of a call, and at least so many: the reference takes 20 times as long."""
_GROUP_CHARACTERS = 1 << 16
"""Of texts that the reference encodes together, on several threads; it takes a hundred bytes for each."""
_PROBED = (*range(0x3100), *range(0xFE00, 0x10000))
_PROBES = tuple(
    "".join(f"ab{sign}cd {sign}{sign} 明{sign}。{sign}\n" for sign in map(chr, _PROBED[start : start + 64]))
    for start in range(0, len(_PROBED), 64)
)
"""Each sign, space and letter that regular expression engines may see differently, among words of two scripts."""


class Encoder:
    """Encodes text as text: no special tokens are added, and none is read from a spelling."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with ThreadPoolExecutor(1) as beside:
            fast = beside.submit(_fast_tokenizer, folder)
            self.reference: Tokenizer = load_tokenizer(folder)
            self.vocab_size = vocab_size(self.reference)
            self._cuts = has_our_words(self.reference)
        self._fast = fast.result()
        self._is_trusted = self._begin_check(self._fast)

    def __reduce__(self) -> tuple[type["Encoder"], tuple[Path]]:
        """Pickled as the folder: another process loads the same vocabulary."""
        return Encoder, (self._folder,)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        """Ids of all texts, one after the other, and the bounds of each: text i is ids[offsets[i]:offsets[i + 1]].

        A sample of every call is encoded by the reference too; where the two differ, the reference encodes all of the
        call, and the log says so. What a call gives depends on its texts alone, not on the calls before it.
        """
        fast = self._fast
        if fast is None or not texts:
            return self._encode_by_reference(texts)
        try:
            ids, offsets = self._encode_fast(fast, texts)
        except ValueError as error:  # its regular expressions have limits that one text can meet
            log.warning("fastokens cannot encode some text (%s); tokenizers does, slower", error)
            return self._encode_by_reference(texts)
        if not self._is_trusted.result():
            return self._encode_by_reference(texts)
        if self._agree(_sample(texts), ids, offsets):
            return ids, offsets
        log.warning("fastokens does not agree with tokenizers on some text; tokenizers encodes it, slower")
        return self._encode_by_reference(texts)

    def _begin_check(self, fast: "fastokens.Tokenizer | None") -> Future[bool]:
        """Whether the two agree on the probes, found out beside the first texts: no result is given before it is."""
        beside = ThreadPoolExecutor(1)
        checked = beside.submit(self._agrees_on_probes, fast)
        beside.shutdown(wait=False)
        return checked

    def _agrees_on_probes(self, fast: "fastokens.Tokenizer | None") -> bool:
        """The fast one is given up where they do not, so that later calls do not ask it in vain."""
        try:
            if fast is None or self._agree(_PROBES, *self._encode_fast(fast, _PROBES)):
                return True
        except ValueError:  # its regular expressions have limits
            pass
        log.warning("fastokens does not agree with tokenizers on this vocabulary; tokenizers is used, slower")
        self._fast = None
        return False

    def _agree(self, texts: Sequence[str], ids: Ids, offsets: Offsets) -> bool:
        """Whether the reference gives the same ids for the first texts."""
        expected, bounds = self._encode_by_reference(texts)
        return np.array_equal(expected, ids[: bounds[-1]]) and np.array_equal(bounds, offsets[: len(bounds)])

    @staticmethod
    def _encode_fast(fast: "fastokens.Tokenizer", texts: Sequence[str]) -> tuple[Ids, Offsets]:
        ids, offsets = fast.encode_batch_flat(list(texts), split_special_tokens=True)
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64).astype(np.int64)

    def _encode_by_reference(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        rows = [row for group in _groups(texts) for row in self._encode_group(group)]
        offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        return np.concatenate([np.empty(0, np.uint32), *rows]), offsets

    def _encode_group(self, texts: Sequence[str]) -> Iterator[Ids]:
        """Long texts in pieces where the words are ours, for the reference takes a hundred bytes for each of a text."""
        pieces = [list(cut_text(text, ENCODING_BOUND)) if self._cuts else [text] for text in texts]
        together = [piece for of_text in pieces for piece in of_text]
        made = iter(self.reference.encode_batch_fast(together, add_special_tokens=False))
        for of_text in pieces:
            yield np.array([token for _ in of_text for token in next(made).ids], np.uint32)


def _groups(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Neighbours together, up to _GROUP_CHARACTERS; a longer text alone."""
    start = size = 0
    for at, text in enumerate(texts):
        if at > start and size + len(text) > _GROUP_CHARACTERS:
            yield texts[start:at]
            start, size = at, 0
        size += len(text)
    if texts:
        yield texts[start:]


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
