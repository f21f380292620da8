"""Chat templates: conversations as runs of tokens, of which some are answers to learn.

What a person wrote stays text, whatever it spells: only the template's own words become special tokens. An answer is
encoded apart from what stands before it, for that is how it is generated; everything else between two special tokens is
encoded as one text, as `apply_chat_template` does when the model is asked.
"""

import json
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from params.errors import ParameterError
from tasks.examples.conversations import Message
from tasks.formats.records import Unusable
from tasks.tokenizer.files import CONFIG, TEMPLATE, load_tokenizer, spelling

_MARK = re.compile("\ue000(\\d+)\ue001")
"""Stands for a message's content while the template is rendered (private-use characters)."""


@dataclass(frozen=True)
class Run:
    """A piece of a rendered conversation: a special token, or a text to encode."""

    text: str
    is_special: bool
    is_learned: bool


class ChatTemplate:
    """The chat template of a tokenizer's folder."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        path = folder / TEMPLATE
        template = path.read_text(encoding="utf-8") if path.exists() else config.get("chat_template")
        if not isinstance(template, str):
            raise ParameterError(f"{folder} has no chat template; set train_tokenizer.chat_template to chatml")
        self._template = template
        names = ("bos_token", "eos_token", "pad_token", "unk_token")
        self._tokens = {name: found for name in names if (found := spelling(config.get(name))) is not None}
        tokens = load_tokenizer(folder).get_added_tokens_decoder()
        self.special = {token.content: index for index, token in tokens.items() if token.special}
        self._special = re.compile("|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) or "(?!)")
        self.end = self._probe(folder)
        """The token that ends an answer."""

    def runs(self, messages: Sequence[Message], learned: Set[int] | None = None) -> list[Run]:
        """The runs of a conversation up to the end of its last answer that is learned.

        Answers with these indices are learned, all of them by default, and the token that ends each. Raises Unusable
        where the template refuses the conversation or writes something else than what was said.
        """
        wanted = learned or {at for at, message in enumerate(messages) if message.role == "assistant"}
        runs = list(_merged(self._pieces(messages, wanted)))
        last = max((at for at, run in enumerate(runs) if run.is_learned), default=None)
        if last is None:
            raise Unusable("no_answer", "the chat template leaves no answer to learn")
        return runs[: last + 1]

    def _pieces(self, messages: Sequence[Message], learned: Set[int]) -> Iterator[Run]:
        """The template's special tokens and texts with what was said between them, in order."""
        said = self._said(messages)
        ends = False
        for piece in self._split(messages, said):
            if isinstance(piece, int):
                ends = piece in learned
                yield Run(said[piece], False, ends)
                continue
            at = 0
            for match in self._special.finditer(piece):
                if between := piece[at : match.start()]:
                    yield Run(between, False, ends)
                yield Run(match[0], True, ends)
                ends, at = False, match.end()
            if rest := piece[at:]:
                yield Run(rest, False, ends)

    def _said(self, messages: Sequence[Message]) -> list[str]:
        """The contents as the template writes them: as they are, or stripped."""
        for contents in ([m.content for m in messages], [m.content.strip() for m in messages]):
            marked = self._render(messages, [_mark(at) for at in range(len(messages))])
            joined = _MARK.sub(lambda match, kept=contents: kept[int(match[1])], marked)  # type: ignore[misc]
            if joined == self._render(messages, [m.content for m in messages]):
                return contents
        raise Unusable("template_changes_text", "the chat template writes something else than what was said")

    def _split(self, messages: Sequence[Message], said: Sequence[str]) -> Iterator[str | int]:
        parts = _MARK.split(self._render(messages, [_mark(at) for at in range(len(messages))]))
        found = [int(part) for part in parts[1::2]]
        if found != [at for at in range(len(said)) if at in found]:
            raise Unusable("template_changes_text", "the chat template writes the messages in another order")
        for at, part in enumerate(parts):
            if at % 2:
                yield int(part)
            elif part:
                yield part

    def _render(self, messages: Sequence[Message], contents: Sequence[str]) -> str:
        from jinja2.exceptions import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        chat = [{"role": m.role, "content": text} for m, text in zip(messages, contents, strict=True)]
        render: Any = render_jinja_template
        try:
            rendered, _ = render(conversations=[chat], chat_template=self._template, **self._tokens)
        except (TemplateError, TypeError, ValueError) as error:
            raise Unusable("template_refuses", f"the chat template says: {error}") from None
        return str(rendered[0])

    def _probe(self, folder: Path) -> int:
        """What ends an answer; raises ParameterError for a template whose answers have no end."""
        try:
            runs = self.runs([Message("user", "a"), Message("assistant", "b")])
        except Unusable as problem:
            raise ParameterError(f"{folder / TEMPLATE}: it does not render a plain conversation: {problem}") from None
        learned = [run for run in runs if run.is_learned]
        if not learned or not learned[-1].is_special:
            raise ParameterError(
                f"{folder / TEMPLATE}: no special token ends an answer, so that a model would never stop; let the "
                "template write one after each answer, and list it in train_tokenizer.special_tokens.extra"
            )
        return self.special[learned[-1].text]


def _mark(at: int) -> str:
    return f"\ue000{at}\ue001"


def _merged(runs: Iterator[Run]) -> Iterator[Run]:
    """Neighbouring texts that are not learned as one text."""
    held = ""
    for run in runs:
        if not run.is_special and not run.is_learned:
            held += run.text
            continue
        if held:
            yield Run(held, False, False)
            held = ""
        yield run
    if held:
        yield Run(held, False, False)
