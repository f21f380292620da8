"""A conversation as the tokens that its model was taught, by the chat template among the tokenizer's files.

What people write never becomes a control token by its spelling: only the template's own words do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

_CONFIG, _TEMPLATE, _TOKENIZER = "tokenizer_config.json", "chat_template.jinja", "tokenizer.json"
_FILLERS = ("\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3")
"""Code points that Unicode keeps free for programs; one that no message holds breaks up control tokens in them."""
_ANSWER = "A7f0c1"


class ChatError(ValueError):
    """A conversation that the model's template does not take, or a model without one."""


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: str
    content: str


class ChatTemplate:
    """The template of a served folder."""

    def __init__(self, source: str, folder: Path, config: dict[str, Any]) -> None:
        self.template = _environment().from_string(source)
        self.markup = Tokenizer.from_file(str(folder / _TOKENIZER))
        self.plain = Tokenizer.from_file(str(folder / _TOKENIZER))
        self.plain.encode_special_tokens = True
        added = self.markup.get_added_tokens_decoder()
        self.control = {token.content: number for number, token in added.items() if token.special}
        self.names = {
            name: _spelling(config[name]) for name in ("bos_token", "eos_token", "pad_token") if name in config
        }

    @classmethod
    def load(cls, folder: Path) -> "ChatTemplate | None":
        """The template of a folder with tokenizer files; None where it has none."""
        path = folder / _CONFIG
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if (folder / _TEMPLATE).is_file():
            return cls((folder / _TEMPLATE).read_text(encoding="utf-8"), folder, config)
        found = config.get("chat_template")
        return cls(found, folder, config) if isinstance(found, str) else None

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation up to where the assistant's answer begins. Raises ChatError."""
        filler = self._filler(messages)
        guarded = [Message(turn.role, self._guarded(turn.content, filler)) for turn in messages]
        text = self._render(guarded, add_generation_prompt=True)
        if filler not in text:
            return list(self.markup.encode(text, add_special_tokens=False).ids)
        return self._encode_parts(text, filler)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The control token that the template puts behind an answer, which is how the model ends one."""
        turns = [Message("user", "?"), Message("assistant", _ANSWER)]
        try:
            rendered = self._render(turns, add_generation_prompt=False)
        except ChatError:
            return frozenset()
        behind = rendered.rpartition(_ANSWER)[2].lstrip()
        return frozenset(number for token, number in self.control.items() if behind.startswith(token))

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        try:
            return self.template.render(
                messages=turns, add_generation_prompt=add_generation_prompt, tools=None, documents=None, **self.names
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ChatError(f"the model's chat template does not take this conversation: {error}") from None

    def _filler(self, messages: Sequence[Message]) -> str:
        filler = next((one for one in _FILLERS if all(one not in turn.content for turn in messages)), None)
        if filler is None:
            raise ChatError(f"the conversation holds all of the noncharacters {', '.join(map(ascii, _FILLERS))}")
        return filler

    def _guarded(self, content: str, filler: str) -> str:
        """Content whose spellings of control tokens are broken up by the filler."""
        for token in sorted(self.control, key=len, reverse=True):
            content = content.replace(token, token[:1] + filler + token[1:])
        return content

    def _encode_parts(self, text: str, filler: str) -> list[int]:
        """Tokens of a rendered text: control tokens where the template spells them, ordinary ones elsewhere."""
        ids: list[int] = []
        begin = 0
        while begin < len(text):
            places = {token: text.find(token, begin) for token in self.control}
            found = [(place, -len(token), token) for token, place in places.items() if place >= 0]
            end, _, token = min(found, default=(len(text), 0, ""))
            ids += self.plain.encode(text[begin:end].replace(filler, ""), add_special_tokens=False).ids
            ids += [self.control[token]] if token else []
            begin = end + len(token)
        return ids


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up for chat templates: templates come with models and are not trusted."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().astimezone().strftime(pattern)
    return environment


def _tojson(value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _spelling(token: Any) -> str:
    return str(token.get("content") if isinstance(token, dict) else token)
