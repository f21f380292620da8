"""Conversations and preferences, in the shapes in which data sets spell them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.examples.fields import fields_of, text_of
from tasks.formats.records import Unusable

Role = Literal["system", "user", "assistant"]
_ROLES: dict[str, Role] = {
    **{"system": "system", "user": "user", "human": "user", "assistant": "assistant"},
    **{"gpt": "assistant", "bot": "assistant", "model": "assistant"},
}
_MESSAGES = ("messages", "conversations", "conversation")
_ANSWERS = ("response", "answer", "completion", "output")


@dataclass(frozen=True)
class Message:
    """What one side says."""

    role: Role
    content: str


Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Chat:
    """A conversation, and which of its messages are the answers that are learned."""

    messages: Messages
    answers: tuple[int, ...]

    @property
    def answered(self) -> str:
        """The text of the answers."""
        return "".join(self.messages[at].content for at in self.answers)

    @property
    def said(self) -> str:
        """The text of all messages, one below the other."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True)
class Preference:
    """Two answers to one conversation."""

    prompt: Messages
    chosen: Messages
    rejected: Messages


def read_conversation(row: Any) -> Messages:
    """The messages of a row up to its last answer; raises Unusable where there is nothing to learn.

    A row has `messages` (role and content, or from and value), or `prompt` with `response`, or Alpaca's `instruction`,
    `input`, `output` and `history`.
    """
    fields = fields_of(row)
    if (key := next((name for name in _MESSAGES if fields.get(name)), None)) is not None:
        messages = _messages(fields[key], key)
    else:
        messages = _question(fields)
        name = next((name for name in _ANSWERS if fields.get(name) is not None), None)
        if name is None:
            raise Unusable("no_answer", f"there is none of {', '.join((_MESSAGES[0], *_ANSWERS))}")
        messages = (*messages, Message("assistant", text_of(fields[name], name)))
    last = max((at for at, message in enumerate(messages) if message.role == "assistant"), default=None)
    if last is None:
        raise Unusable("no_answer", "no message is the assistant's")
    if last == 0:
        raise Unusable("no_question", "nothing stands before the first answer")
    return messages[: last + 1]


def read_preference(row: Any) -> Preference:
    """The prompt and both answers of a row: plain texts or messages; without a prompt, what both sides share."""
    fields = fields_of(row)
    sides = {}
    for name in ("chosen", "rejected"):
        if fields.get(name) is None:
            raise Unusable("no_answer", f"{name} is missing")
        value = fields[name]
        is_text = isinstance(value, str)
        sides[name] = (Message("assistant", text_of(value, name)),) if is_text else _messages(value, name)
    chosen, rejected = sides["chosen"], sides["rejected"]
    if any(fields.get(name) for name in ("prompt", "instruction", "question", *_MESSAGES)):
        key = next((name for name in ("prompt", *_MESSAGES) if isinstance(fields.get(name), Sequence)), None)
        asked = fields.get(key) if key else None
        prompt = _messages(asked, str(key)) if asked and not isinstance(asked, str) else _question(fields)
        chosen, rejected = _without(prompt, chosen), _without(prompt, rejected)
    else:
        shared = _shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt:
        raise Unusable("no_question", "nothing stands before the answers")
    if chosen == rejected:
        raise Unusable("same_answers", "chosen and rejected are the same")
    if not all(side and side[-1].role == "assistant" for side in (chosen, rejected)):
        raise Unusable("no_answer", "chosen and rejected must end with a message of the assistant")
    return Preference(prompt, chosen, rejected)


def _question(fields: Mapping[str, Any]) -> Messages:
    """System text, earlier turns and the question of a row that has no list of messages."""
    key = next((name for name in ("prompt", "instruction", "question") if fields.get(name)), None)
    if key is None:
        raise Unusable("no_question", "there is none of messages, prompt, instruction, question")
    system = fields.get("system")
    messages = [Message("system", text_of(system, "system"))] if system else []
    for turn in fields.get("history") or ():
        if not isinstance(turn, Sequence) or len(turn) != 2:
            raise Unusable("bad_history", "history is a list of pairs of a question and its answer")
        asked, answered = turn
        messages += [Message("user", text_of(asked, "history")), Message("assistant", text_of(answered, "history"))]
    asked, more = text_of(fields[key], key), fields.get("input") if key == "instruction" else None
    return (*messages, Message("user", f"{asked}\n{text_of(more, 'input')}" if more else asked))


def _messages(value: Any, key: str) -> Messages:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Unusable("no_messages", f"{key} is a list of messages with role and content")
    return tuple(_message(one, number, key) for number, one in enumerate(value))


def _message(value: Any, number: int, key: str) -> Message:
    place = f"{key}[{number}]"
    if not isinstance(value, Mapping):
        raise Unusable("bad_message", f"{place} is no object with role and content")
    role, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    if role not in _ROLES:
        raise Unusable("bad_role", f"{place} has the role {role!r}; known are {', '.join(_ROLES)}")
    if _ROLES[role] == "system" and content == "":
        return Message("system", "")
    return Message(_ROLES[role], text_of(content, place))


def _without(prompt: Messages, side: Messages) -> Messages:
    """An answer that repeats its prompt, without that."""
    return side[len(prompt) :] if len(side) > len(prompt) and side[: len(prompt)] == prompt else side


def _shared(left: Messages, right: Messages) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))
