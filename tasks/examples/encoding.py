"""Examples of every objective as tokens: what the model reads and, at each position, what it has to answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from params.objective import Objective
from tasks.examples.conversations import Chat, Messages, read_conversation, read_preference
from tasks.examples.labelled import read_labelled, read_pair
from tasks.examples.template import ChatTemplate, Run
from tasks.formats.records import Unusable
from tasks.tokenizer.encoder import Encoder
from tasks.tokenizer.files import special_ids
from tasks.tokenizer.sentinels import Sentinels

IGNORED = -100
"""Target of a position that is not learned."""
Tokens = npt.NDArray[np.uint32]
Targets = npt.NDArray[np.int32]


class Side(NamedTuple):
    """One text of an example: tokens, and the target of each position."""

    inputs: Tokens
    targets: Targets


@dataclass(frozen=True)
class Example:
    """What a row became."""

    key: str
    """What is asked: rows of the same key are on one side of the split."""
    sides: tuple[Side, ...]
    """One text, or two that are compared or turned into each other."""
    label: str | None = None
    truncated: bool = False
    chat: Chat | None = None
    """The conversation, of a preference with the answer that was chosen."""
    row: Mapping[str, str] | None = None
    """What is asked and what is wanted, of rows that are no conversations."""


class Coder(Protocol):
    """Turns rows into examples."""

    def encode(self, rows: Sequence[Any]) -> list[Example | Unusable]:
        """For each row its example, or why there is none."""
        ...


def make_coder(objective: Objective, tokenizer: Path, *, context: int, truncate: bool) -> "Coder":
    """The coder of an objective."""
    kinds: dict[str, Any] = {
        "instruct": Conversations,
        "preference": Preferences,
        "classify": LabelledTexts,
        "seq2seq": Pairs,
    }
    coder: Coder = kinds[objective](tokenizer, Cut(context, truncate))
    return coder


@dataclass(frozen=True)
class Cut:
    """What becomes of texts that are longer than the context."""

    context: int
    truncate: bool

    def __call__(self, side: Side) -> Side:
        """The text as far as it fits; raises Unusable where that is not wanted or leaves nothing to learn."""
        if len(side.inputs) <= self.context:
            return side
        detail = f"{len(side.inputs):,} positions of {self.context:,} that a block has"
        if not self.truncate:
            raise Unusable("too_long", f"{detail}; raise shard.context, or set encode.too_long to truncate")
        cut = Side(side.inputs[: self.context], side.targets[: self.context])
        if np.any(side.targets != IGNORED) and np.all(cut.targets == IGNORED):
            raise Unusable("too_long", f"{detail}, and nothing to learn is within them")
        return cut


class _Texts:
    """Encodes many texts in one call, and gives each back by its number."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self._ids, self._offsets = encoder.encode(list(texts))

    def __getitem__(self, number: int) -> Tokens:
        return self._ids[self._offsets[number] : self._offsets[number + 1]]


class Chats:
    """Rendered conversations to tokens, many at a time."""

    def __init__(self, tokenizer: Path, cut: Cut) -> None:
        self.template = ChatTemplate(tokenizer)
        self._encoder = Encoder(tokenizer)
        self._cut = cut

    def sides(self, chats: Sequence[list[Run]]) -> list[Side]:
        """Tokens of conversations; the target of each position is the next token where that is learned."""
        texts = _Texts(self._encoder, [run.text for chat in chats for run in chat if not run.is_special])
        made, number = [], 0
        for chat in chats:
            parts: list[Tokens] = []
            for run in chat:
                if run.is_special:
                    parts.append(np.array([self.template.special[run.text]], np.uint32))
                else:
                    parts.append(texts[number])
                    number += 1
            tokens = np.concatenate(parts)
            learned = np.repeat([run.is_learned for run in chat], [len(part) for part in parts])
            targets = np.where(learned[1:], tokens[1:].astype(np.int32), IGNORED).astype(np.int32)
            made.append(Side(tokens[:-1], targets))
        return made

    def runs(self, chat: Chat) -> list[Run]:
        """The conversation as the template renders it; raises Unusable where it refuses."""
        return self.template.runs(chat.messages, set(chat.answers))

    def cut(self, sides: Sequence[Side]) -> tuple[Side, ...]:
        """The sides within the context; raises Unusable where that leaves nothing to learn."""
        return tuple(map(self._cut, sides))


class Conversations(Chats):
    """Conversations, of which the assistant's answers are learned."""

    def encode(self, rows: Sequence[Any]) -> list[Example | Unusable]:
        """For each row its example, or why there is none."""
        read = [_tried(lambda row=row: self._read(row)) for row in rows]
        sides = iter(self.sides([found[1] for found in read if not isinstance(found, Unusable)]))
        made: list[Example | Unusable] = []
        for found in read:
            if isinstance(found, Unusable):
                made.append(found)
            else:
                side = next(sides)
                made.append(_tried(lambda s=side, c=found[0]: _example(_asked(c.messages), (s,), self.cut, chat=c)))
        return made

    def _read(self, row: Any) -> tuple[Chat, list[Run]]:
        messages = read_conversation(row)
        answers = (at for at, message in enumerate(messages) if message.role == "assistant")
        chat = Chat(messages, tuple(answers))
        return chat, self.runs(chat)


class Preferences(Chats):
    """Two answers to each prompt."""

    def encode(self, rows: Sequence[Any]) -> list[Example | Unusable]:
        """For each row its example, or why there is none."""
        read = [_tried(lambda row=row: self._read(row)) for row in rows]
        sides = iter(self.sides([run for found in read if not isinstance(found, Unusable) for run in found[1]]))
        made: list[Example | Unusable] = []
        for found in read:
            if isinstance(found, Unusable):
                made.append(found)
            else:
                pair = (next(sides), next(sides))
                made.append(_tried(lambda p=pair, f=found: _example(_text_of(f[0]), p, self.cut, chat=f[2])))
        return made

    def _read(self, row: Any) -> tuple[Messages, tuple[list[Run], list[Run]], Chat]:
        found = read_preference(row)
        chosen, rejected = (_answered(found.prompt, answer) for answer in (found.chosen, found.rejected))
        return found.prompt, (self.runs(chosen), self.runs(rejected)), chosen


class LabelledTexts:
    """Texts whose last position has the label as its target (its number, once all labels are known)."""

    def __init__(self, tokenizer: Path, cut: Cut) -> None:
        self._encoder = Encoder(tokenizer)
        self._cut = cut

    def encode(self, rows: Sequence[Any]) -> list[Example | Unusable]:
        """For each row its example, or why there is none."""
        read = [_tried(lambda row=row: read_labelled(row)) for row in rows]
        texts = iter(_encoded(self._encoder, [found.text for found in read if not isinstance(found, Unusable)]))
        made: list[Example | Unusable] = []
        for found in read:
            if isinstance(found, Unusable):
                made.append(found)
            else:
                side = _unlearned(next(texts))
                example = _tried(lambda s=side, f=found: _example(f.text, (s,), self._cut_all, label=f.label))
                made.append(_with_row(example, {"text": found.text, "label": found.label}))
        return made

    def _cut_all(self, sides: Sequence[Side]) -> tuple[Side, ...]:
        return tuple(map(self._cut, sides))


class Pairs:
    """A source, ended by the end token, and a target that the decoder writes from its start token on."""

    def __init__(self, tokenizer: Path, cut: Cut) -> None:
        self._encoder = Encoder(tokenizer)
        self._sentinels = Sentinels(self._encoder.reference)
        self._ids = special_ids(tokenizer)
        self._cut = cut

    def encode(self, rows: Sequence[Any]) -> list[Example | Unusable]:
        """For each row its example, or why there is none."""
        read = [_tried(lambda row=row: read_pair(row)) for row in rows]
        good = [found for found in read if not isinstance(found, Unusable)]
        texts = iter(self._tokens([text for pair in good for text in (pair.source, pair.target)]))
        made: list[Example | Unusable] = []
        for found in read:
            if isinstance(found, Unusable):
                made.append(found)
            else:
                sides = (self._source(next(texts)), self._target(next(texts)))
                example = _tried(lambda s=sides, f=found: _example(f.source, s, self._cut_all))
                made.append(_with_row(example, {"source": found.source, "target": found.target}))
        return made

    def _tokens(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Tokens of texts in which T5's sentinels may be spelled."""
        parts = [self._sentinels.split(text) for text in texts]
        plain = iter(_encoded(self._encoder, [part for text in parts for part in text if isinstance(part, str)]))
        for text in parts:
            found = [np.array([part], np.uint32) if isinstance(part, int) else next(plain) for part in text]
            yield np.concatenate([np.empty(0, np.uint32), *found])

    def _source(self, tokens: Tokens) -> Side:
        return _unlearned(np.append(tokens, self._ids.end).astype(np.uint32))

    def _target(self, tokens: Tokens) -> Side:
        written = np.append(tokens, self._ids.end).astype(np.int32)
        return Side(np.append(self._ids.padding, written[:-1]).astype(np.uint32), written)

    def _cut_all(self, sides: Sequence[Side]) -> tuple[Side, ...]:
        return tuple(map(self._cut, sides))


def _example(
    key: str, sides: tuple[Side, ...], cut: Any, *, label: str | None = None, chat: Chat | None = None
) -> Example:
    kept = cut(sides)
    truncated = any(len(one.inputs) < len(other.inputs) for one, other in zip(kept, sides, strict=True))
    return Example(key, kept, label, truncated, chat)


def _with_row(made: Example | Unusable, row: Mapping[str, str]) -> Example | Unusable:
    return replace(made, row=row) if isinstance(made, Example) else made


def _answered(prompt: Messages, answer: Messages) -> Chat:
    learned = (len(prompt) + at for at, message in enumerate(answer) if message.role == "assistant")
    return Chat((*prompt, *answer), tuple(learned))


def _tried(make: Any) -> Any:
    """What is made, or the reason why it cannot be."""
    try:
        return make()
    except Unusable as problem:
        return problem


def _encoded(encoder: Encoder, texts: Sequence[str]) -> list[Tokens]:
    found = _Texts(encoder, texts)
    return [found[number] for number in range(len(texts))]


def _unlearned(tokens: Tokens) -> Side:
    return Side(tokens, np.full(len(tokens), IGNORED, np.int32))


def _asked(messages: Messages) -> str:
    """A conversation up to its first answer."""
    first = next(at for at, message in enumerate(messages) if message.role == "assistant")
    return _text_of(messages[:first])


def _text_of(messages: Messages) -> str:
    return "\0".join(f"{message.role}\0{message.content}" for message in messages)
