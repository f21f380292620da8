"""How much disk a run takes."""

from dataclasses import asdict, dataclass

from tasks.estimation.corpus import Corpus
from tasks.estimation.memory import optimizer_bytes
from tasks.estimation.parameters import count_parameters
from tasks.estimation.shape import ModelShape

_TEXT_STAGES = 5
"""Stages that keep the text: ingest, clean, dedup, split and decontaminate."""
_COMPRESSED = 0.55
"""Size of text after LZ4, measured on documentation."""
_QUANTIZED = 0.25 + 0.125
"""int8 and int4 variants beside the float32 graph, as shares of it."""


@dataclass(frozen=True)
class DiskParts:
    """Bytes on disk; the checkpoints go but for one when training ends."""

    text: int
    """The text in the store, once for each stage that keeps it."""
    shards: int
    checkpoints: int
    """Those kept while training, one more while it is written, and the best weights."""
    model: int
    """Weights, graphs and their quantized variants."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(asdict(self).values())


def disk_parts(shape: ModelShape, corpus: Corpus, *, muon: bool, keep_checkpoints: int) -> DiskParts:
    """The disk of a run."""
    weights = 4 * count_parameters(shape).total
    tokens = corpus.train_tokens or 0
    return DiskParts(
        text=round(_TEXT_STAGES * _COMPRESSED * tokens * corpus.bytes_per_token),
        shards=tokens * (2 if corpus.vocab_size <= 1 << 16 else 4),
        checkpoints=(keep_checkpoints + 1) * checkpoint_bytes(shape, muon=muon) + weights,
        model=round(weights * (2 + _QUANTIZED)),
    )


def checkpoint_bytes(shape: ModelShape, *, muon: bool) -> int:
    """Weights and optimizer state, both float32."""
    return 4 * count_parameters(shape).total + optimizer_bytes(shape, muon=muon)
