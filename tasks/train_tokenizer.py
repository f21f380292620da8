"""Train the tokenizer on the training documents."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from params.train_tokenizer import TrainTokenizerParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.tokenizer.encoder import Encoder


@stage(version=1)
def train_tokenizer(params: TrainTokenizerParams, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """Learn a byte-level BPE vocabulary from the training split and leave it as transformers loads it."""
    from tasks.tokenizer.bpe import train_bpe
    from tasks.tokenizer.encoder import Encoder
    from tasks.tokenizer.files import save_tokenizer
    from tasks.tokenizer.sample import Sample

    sample = Sample(splits.paths("train/*.arrow"), max_bytes=int(params.max_sample_mb * 1e6))
    tokenizer = train_bpe(
        sample,
        vocab_size=params.vocab_size,
        min_frequency=params.min_frequency,
        split_digits=params.split_digits,
    )
    save_tokenizer(tokenizer, out)
    counts = {"vocab_size": tokenizer.get_vocab_size(), "sample_docs": sample.num_docs, "sample_bytes": sample.size}
    bytes_per_token = _bytes_per_token(Encoder(out), sample)
    return Metrics(
        counts=counts,
        values={"bytes_per_token": bytes_per_token},
        headline=f"{counts['vocab_size']:,} entries, {bytes_per_token:.2f} bytes per token",
        speed=(counts["sample_bytes"] / 1e6, "MB"),
    )


def _bytes_per_token(encoder: "Encoder", batches: Iterable[list[str]]) -> float:
    """Measured on the first few batches."""
    num_bytes = num_tokens = 0
    for texts in islice(batches, 4):
        num_bytes += sum(len(text.encode()) for text in texts)
        num_tokens += len(encoder.encode(texts)[0])
    return num_bytes / max(num_tokens, 1)
