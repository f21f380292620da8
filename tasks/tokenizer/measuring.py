"""How well a vocabulary fits a text: bytes per token, fertility, entries that are never used."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.tokenizer.encoder import Encoder
from tasks.tokenizer.sample import Sample
from tasks.tokenizer.vocabulary import spelled_bytes

Counts = npt.NDArray[np.int64]

_HAN = re.compile("[\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_LATIN = re.compile("[A-Za-z\u00aa-\u024f\u1e00-\u1eff]")
_SCRIPT_CHARACTERS = 2000
_EXAMPLES = 20


@dataclass
class Group:
    """Sums over documents of one language or source."""

    docs: int = 0
    num_bytes: int = 0
    num_tokens: int = 0
    words: int = 0
    """Runs without white space."""
    han: int = 0
    """Han characters."""

    def add(self, text: str, num_tokens: int) -> None:
        """Count a document in."""
        self.docs += 1
        self.num_bytes += len(text.encode())
        self.num_tokens += num_tokens
        self.words += len(text.split())
        self.han += len(_HAN.findall(text))

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes that a token stands for, on average."""
        return round(self.num_bytes / max(self.num_tokens, 1), 4)

    def summary(self) -> dict[str, float | int]:
        """The figures of a report; fertility (Rust et al. 2021) is per Han character where these outnumber words."""
        unit, units = ("han_character", self.han) if self.han > self.words else ("word", self.words)
        return {
            "docs": self.docs,
            "bytes": self.num_bytes,
            "tokens": self.num_tokens,
            "bytes_per_token": self.bytes_per_token,
            f"tokens_per_{unit}": round(self.num_tokens / max(units, 1), 4),
        }


@dataclass
class Fit:
    """What measuring a tokenizer on held-out text found."""

    total: Group = field(default_factory=Group)
    by_language: defaultdict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    """By language, else by script: Han, Latin or other."""
    by_source: defaultdict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    counts: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    """Occurrences of each id."""
    changed: list[str] = field(default_factory=list)
    """Ids of documents that decode to another text."""


def measure(encoder: Encoder, sample: Sample) -> Fit:
    """Encode and decode every document of a sample."""
    fit = Fit()
    fit.counts = np.zeros(encoder.vocab_size, np.int64)
    for batch in sample.documents():
        texts = batch.column("text").to_pylist()
        ids, bounds = encoder.encode(texts)
        fit.counts += np.bincount(ids, minlength=encoder.vocab_size)
        rows = [ids[start:end].tolist() for start, end in pairwise(bounds)]
        names = (batch.column(name).to_pylist() for name in ("id", "language", "source"))
        made = encoder.reference.decode_batch(rows, skip_special_tokens=False)
        for text, row, back, doc, language, source in zip(texts, rows, made, *names, strict=True):
            for group in (fit.total, fit.by_language[language or script_of(text)], fit.by_source[source]):
                group.add(text, len(row))
            if back != text:
                fit.changed.append(doc)
    return fit


def count_ids(encoder: Encoder, batches: Iterable[list[str]]) -> Counts:
    """Occurrences of each id in texts."""
    counts = np.zeros(encoder.vocab_size, np.int64)
    for texts in batches:
        counts += np.bincount(encoder.encode(texts)[0], minlength=encoder.vocab_size)
    return counts


def script_of(text: str) -> str:
    """Han, Latin or other: what most letters of the beginning of a text belong to."""
    text = text[:_SCRIPT_CHARACTERS]
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    other = sum(map(str.isalpha, text)) - han - latin
    if other > max(han, latin) or not han + latin:
        return "other"
    return "Han" if han >= latin else "Latin"


@dataclass(frozen=True)
class Report:
    """What report.json says."""

    vocab_size: int
    longest: list[str]
    """Entries that stand for most bytes."""
    num_unused: int
    """Entries, special ones left out, that occur nowhere in the training documents counted."""
    unused_share: float
    unused: list[str]
    """Examples."""
    counted_docs: int
    counted_bytes: int
    """Training text in which entries were counted."""
    held_out: dict[str, float | int]
    single_byte_share: float
    """Share of held-out tokens that stand for one byte."""
    changed_by_round_trip: list[str]
    """Held-out documents, at most 20, that decode to another text."""
    by_language: dict[str, dict[str, float | int]]
    by_source: dict[str, dict[str, float | int]]


def describe(encoder: Encoder, fit: Fit, counts: Counts, counted: Sample) -> Report:
    """The report: `fit` is measured on held-out text, `counts` are of the training text `counted`."""
    spelled = spelled_bytes(encoder.reference)
    sizes = np.array([len(token) for token in spelled])
    entries = np.flatnonzero(sizes)
    unused = entries[counts[entries] == 0]
    return Report(
        vocab_size=encoder.vocab_size,
        longest=_shown(spelled, entries[np.argsort(-sizes[entries], kind="stable")]),
        num_unused=len(unused),
        unused_share=round(len(unused) / max(len(entries), 1), 4),
        unused=_shown(spelled, unused),
        counted_docs=counted.num_docs,
        counted_bytes=counted.size,
        held_out=fit.total.summary(),
        single_byte_share=round(int(fit.counts[sizes == 1].sum()) / max(fit.total.num_tokens, 1), 4),
        changed_by_round_trip=fit.changed[:_EXAMPLES],
        by_language={name: fit.by_language[name].summary() for name in sorted(fit.by_language)},
        by_source={name: fit.by_source[name].summary() for name in sorted(fit.by_source)},
    )


def _shown(spelled: list[bytes], ids: npt.NDArray[np.intp]) -> list[str]:
    """Examples as text; bytes that are no UTF-8 as \\xNN."""
    return [spelled[index].decode("utf-8", "backslashreplace") for index in ids[:_EXAMPLES]]
