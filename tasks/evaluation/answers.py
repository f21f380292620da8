"""How well a model predicts the answers of held-out conversations, as its own chat template renders them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from params.errors import EvaluationError
from params.language import LanguageParams
from tasks.evaluation.documents import UNKNOWN
from tasks.evaluation.figures import Bootstrap, bootstrap_ratio, figures, figures_apart
from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.losses import DocumentLosses, summed_losses
from tasks.examples.conversations import Chat
from tasks.examples.encoding import IGNORED, Chats, Cut
from tasks.examples.held_out import HELD_OUT, read_chats
from tasks.examples.template import Run
from tasks.formats.records import Unusable
from tasks.language.identification import identify
from tasks.shards.blocks import evenly

_SOURCE = "conversations"
_LANGUAGE = LanguageParams(min_letters=20)
"""Answers are short; documents ask for more letters to tell a language by."""


@dataclass(frozen=True)
class Conversations:
    """Held-out conversations with their names."""

    ids: list[str]
    chats: list[Chat]


@dataclass(frozen=True)
class Talk:
    """What a model is asked, and the folder whose chat template renders it."""

    conversations: Conversations
    template: Path


def choose_conversations(folder: Path, max_conversations: int | None) -> Conversations:
    """At most so many of those that a stage `encode` held out, spread evenly. Raises EvaluationError for none."""
    found = list(read_chats(folder / HELD_OUT))
    if not found:
        raise EvaluationError(f"{folder} holds out no conversation; raise encode.validation or bring more")
    return _gather(found[index] for index in evenly(len(found), max_conversations).tolist())


def same_conversations(folder: Path, ids: Collection[str]) -> Conversations:
    """The conversations with these names."""
    wanted = set(ids)
    return _gather(pair for pair in read_chats(folder / HELD_OUT) if pair[0] in wanted)


def answer_losses(
    model: LanguageModel, tokenizer: Path, conversations: Conversations, *, batch_tokens: int
) -> DocumentLosses:
    """Losses of the answers of each conversation, and of the token that ends each answer, as in training.

    Bytes are those of the answers as they were written. Conversations that the template of the folder `tokenizer`
    refuses are left out; raises ParameterError where it has no usable template. What goes past the context is scored
    window by window, as documents are.
    """
    coder = Chats(tokenizer, Cut(model.context, truncate=False))
    runs = [_rendered(coder, chat) for chat in conversations.chats]
    kept = [place for place, made in enumerate(runs) if made is not None]
    sides = coder.sides([made for made in runs if made is not None])
    rows = [[*side.inputs.tolist(), int(side.targets[-1])] for side in sides]
    scored = [side.targets != IGNORED for side in sides]
    nats, num_targets = summed_losses(model, rows, scored, batch_tokens=batch_tokens)
    texts = [conversations.chats[place].answered for place in kept]
    return DocumentLosses(
        ids=[conversations.ids[place] for place in kept],
        sources=[_SOURCE] * len(kept),
        languages=_languages(texts),
        nats=nats,
        num_bytes=np.array([len(text.encode()) for text in texts], np.int64),
        num_targets=num_targets,
    )


def answer_figures(losses: DocumentLosses, bootstrap: Bootstrap) -> dict[str, Any]:
    """The section `answers`: per answer token and per byte of the answers, with intervals over conversations."""
    low, high = bootstrap_ratio(losses.nats, losses.num_targets, bootstrap)
    return {
        **asdict(figures(losses, bootstrap)),
        "loss_low": round(low, 6),
        "loss_high": round(high, 6),
        "by_language": figures_apart(losses, losses.languages, bootstrap),
    }


def _rendered(coder: Chats, chat: Chat) -> list[Run] | None:
    try:
        return coder.runs(chat)
    except Unusable:
        return None


def _languages(texts: Sequence[str]) -> list[str]:
    codes = identify(pa.array(texts, pa.large_string()), _LANGUAGE).codes if texts else []
    return [code or UNKNOWN for code in codes]


def _gather(pairs: Iterator[tuple[str, Chat]]) -> Conversations:
    found = list(pairs)
    return Conversations([name for name, _ in found], [chat for _, chat in found])
