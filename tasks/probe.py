"""What new text costs a model: bits per byte, and bytes per token of its tokenizer."""

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from params.base import Params
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.documents.shards import read_batches
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.evaluation.documents import Documents

LOSSES = "losses.arrow"
_COLUMNS = ("id", "source", "text")
_BATCH_TOKENS = 4096
_UNKNOWN = "unknown"


class ProbeParams(Params):
    """How many documents."""

    max_documents: int
    """Most documents of each source, those whose hashes are lowest."""
    max_document_bytes: int | None
    """A longer document is read up to so many bytes; None for the whole."""


@stage(version=1)
def probe(params: ProbeParams, model: Manifest, documents: Manifest, *, out: Path, run: Run) -> Metrics:
    """Losses of some documents of kept/ under a model."""
    import math

    from tasks.evaluation.losses import document_losses, write_losses
    from tasks.evaluation.trained_model import TrainedModel, chosen_device

    device, threads = chosen_device(run.settings.device), run.settings.threads or num_cores()
    trained = TrainedModel(model.folder_with("model/**") / "model", threads=threads, device=device)
    chosen = _sample(documents.paths("kept/*.arrow"), params)
    losses = document_losses(trained, chosen, batch_tokens=_BATCH_TOKENS)
    write_losses(out / LOSSES, losses)
    num_bytes, num_tokens = int(losses.num_bytes.sum()), int(losses.num_targets.sum())
    bits_per_byte = float(losses.nats.sum()) / max(num_bytes, 1) / math.log(2)
    return Metrics(
        counts={"docs": len(chosen), "bytes": num_bytes, "tokens": num_tokens},
        values={"bits_per_byte": bits_per_byte, "bytes_per_token": num_bytes / max(num_tokens, 1)},
        headline=f"{len(chosen):,} documents, {bits_per_byte:.3f} bits per byte",
        speed=(num_tokens, "tokens"),
    )


def _sample(shards: Sequence[Path], params: ProbeParams) -> "Documents":
    """The documents of each source with the lowest hashes of their ids; empty ones tell nothing."""
    from tasks.evaluation.documents import Documents, beginning

    chosen: dict[str, list[tuple[int, str, str]]] = {}
    for shard in shards:
        for batch in read_batches(shard, _COLUMNS):
            rows = zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True)
            for doc_id, source, text in (row for row in rows if row[2]):
                kept = chosen.setdefault(source, [])
                heapq.heappush(kept, (-xxhash.xxh3_64_intdigest(doc_id.encode()), doc_id, text))
                if len(kept) > params.max_documents:
                    heapq.heappop(kept)
    drawn = [(doc_id, source, text) for source in sorted(chosen) for _, doc_id, text in sorted(chosen[source])]
    ids, sources, texts = ([row[part] for row in drawn] for part in range(3))
    cut = [beginning(text, params.max_document_bytes) for text in texts]
    return Documents(ids, sources, [_UNKNOWN] * len(ids), cut)
