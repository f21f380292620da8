"""Drop spans of the test documents: what a model that learned span corruption last is asked."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from params.base import Params
from params.errors import EvaluationError
from params.objective import SpanParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.tokenizer.sentinels import Sentinels

_BYTES_PER_WORD = 64
"""Far more than a word has, so that so many bytes of a text hold the words that are asked for."""


class DropSpansParams(Params):
    """How much is dropped, of how many texts."""

    spans: SpanParams
    """As in training."""
    context: int
    """Most tokens of a text with gaps, and of what is dropped."""
    max_documents: int | None
    """Most documents, spread evenly."""


@stage(version=1)
def drop_spans(params: DropSpansParams, tokenizer: Manifest, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """held_out.jsonl: the beginning of each test document with gaps, and what stood in them.

    Raises EvaluationError where no document is long enough.
    """
    from tasks.examples.held_out import HELD_OUT, held_out_line
    from tasks.tokenizer.files import load_tokenizer
    from tasks.tokenizer.sentinels import Sentinels

    texts = Sentinels(load_tokenizer(tokenizer.folder))
    lines = [held_out_line(None, row) for row in _rows(params, texts, splits.paths("test/*.arrow"))]
    if not lines:
        raise EvaluationError(
            "no test document has the 8 words that a text with gaps needs; raise split.test or bring longer text"
        )
    write_atomic(out / HELD_OUT, "".join(lines))
    return Metrics(headline=f"{len(lines):,} texts with gaps", counts={"rows": len(lines)})


def _rows(params: DropSpansParams, texts: "Sentinels", shards: list[Path]) -> Iterator[Mapping[str, str]]:
    import xxhash

    from tasks.evaluation.documents import choose_documents

    max_bytes = params.context * _BYTES_PER_WORD
    documents = choose_documents(shards, max_documents=params.max_documents, max_bytes=max_bytes)
    for name, text in zip(documents.ids, documents.texts, strict=True):
        seed = xxhash.xxh3_64_intdigest(name.encode())
        if (row := _row(text, params, texts, seed=seed)) is not None:
            yield row


def _row(text: str, params: DropSpansParams, texts: "Sentinels", *, seed: int) -> Mapping[str, str] | None:
    """As many words as both sides have room for, their end tokens counted."""
    from tasks.examples.gaps import with_gaps

    max_words = params.context
    while (row := with_gaps(text, params.spans, max_words=max_words, seed=seed)) is not None:
        size = 1 + max(len(texts.encode(side)) for side in row.values())
        if size <= params.context:
            return row
        max_words = max_words * params.context // (size + 1)
    return None
