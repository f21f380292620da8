"""Cross-entropy of each document under a model, by whichever tokenizer the model has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.evaluation.documents import Documents
from tasks.evaluation.language_model import LanguageModel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DocumentLosses:
    """Sums over each document; its end is no target, so that models which end texts differently compare."""

    ids: list[str]
    sources: list[str]
    languages: list[str]
    nats: Floats
    num_bytes: Ints
    num_targets: Ints

    def only(self, chosen: npt.NDArray[np.bool_]) -> "DocumentLosses":
        """Some of the documents."""
        indices = np.flatnonzero(chosen)
        return DocumentLosses(
            ids=[self.ids[i] for i in indices],
            sources=[self.sources[i] for i in indices],
            languages=[self.languages[i] for i in indices],
            nats=self.nats[indices],
            num_bytes=self.num_bytes[indices],
            num_targets=self.num_targets[indices],
        )


def document_losses(model: LanguageModel, documents: Documents, *, batch_tokens: int) -> DocumentLosses:
    """Losses of every document; forward passes take about `batch_tokens` tokens of documents of like length.

    A document follows the begin token. What goes past the context is scored in a second window, and so on, each
    without what stands before it, as in training.
    """
    rows = [[model.begin, *model.encode(text)] for text in documents.texts]
    scored = [np.ones(len(row) - 1, np.bool_) for row in rows]
    nats, num_targets = summed_losses(model, rows, scored, batch_tokens=batch_tokens)
    return DocumentLosses(
        ids=documents.ids,
        sources=documents.sources,
        languages=documents.languages,
        nats=nats,
        num_bytes=np.array([len(text.encode()) for text in documents.texts], np.int64),
        num_targets=num_targets,
    )


def summed_losses(
    model: LanguageModel, rows: Sequence[Sequence[int]], scored: Sequence[Flags], *, batch_tokens: int
) -> tuple[Floats, Ints]:
    """Nats and number of the targets of each row that are scored: one flag for every token but the first."""
    windows = [
        (index, window, flags)
        for index, (row, chosen) in enumerate(zip(rows, scored, strict=True))
        for window, flags in zip(cut_windows(row, model.context), cut_flags(chosen, model.context), strict=True)
        if flags.any()
    ]
    nats, num_targets = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    for batch in batches_by_length([window for _, window, _ in windows], batch_tokens):
        for place, losses in zip(batch, model.target_nats([windows[place][1] for place in batch]), strict=True):
            index, _, flags = windows[place]
            nats[index] += losses[flags].sum()
            num_targets[index] += flags.sum()
    return nats, num_targets


def cut_flags(scored: Flags, context: int) -> list[Flags]:
    """The flags of the targets of each window that `cut_windows` makes."""
    return [scored[start : start + context] for start in range(0, len(scored), context)]


def cut_windows(tokens: Sequence[int], context: int) -> list[list[int]]:
    """Rows of at most context + 1 tokens that overlap by one: every token but the first is a target once."""
    return [list(tokens[start : start + context + 1]) for start in range(0, len(tokens) - 1, context)]


def batches_by_length(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Places of rows, longest first, in batches that hold at most `batch_tokens` tokens with their padding."""
    order = sorted(range(len(rows)), key=lambda place: (-len(rows[place]), place))
    while order:
        size = max(1, batch_tokens // len(rows[order[0]]))
        yield order[:size]
        order = order[size:]


def write_losses(path: Path, losses: DocumentLosses) -> None:
    """Keep the losses document by document, for paired comparisons with other models."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "id": losses.ids,
            "source": losses.sources,
            "language": losses.languages,
            "nats": np.round(losses.nats, 4),
            "num_bytes": losses.num_bytes,
            "num_targets": losses.num_targets,
        }
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_losses(path: Path) -> DocumentLosses:
    """What `write_losses` kept."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    names = (table.column(name).to_pylist() for name in ("id", "source", "language"))
    numbers = (table.column(name).to_numpy().copy() for name in ("nats", "num_bytes", "num_targets"))
    return DocumentLosses(*names, *numbers)
