"""The special tokens: which they are, and how a chat template brings its own.

Text never becomes a special token by its spelling: shards, prompts and measurements encode with special tokens split
into ordinary ones. A conversation gets its markers from the chat template, and keeps what people wrote as text, by
`apply_chat_template(messages, sanitize_control_tokens=True)` of transformers (5.24 on).
"""

import re
from dataclasses import dataclass

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|pad|>"
SEPARATORS = (END_OF_TEXT, "<|end_of_text|>")
"""Tokens that known models saw between documents (GPT-2, GPT-NeoX and Qwen; Llama 3), whatever ends a chat turn."""

CHATML = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Turns as OpenAI's ChatML marks them, led by the token that leads every document in training."""

_MARKER = re.compile(r"<\|\w+\|>")


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of a tokenizer, by their spelling."""

    end_of_text: str = END_OF_TEXT
    """Stands before the first token of a document, which makes it the end of the one before: one token for both.

    Where a loaded tokenizer tells beginning (BOS) and end (EOS) apart it is the end, as in the pretraining of GPT-NeoX:
    the stream is EOS d1 EOS d2 … EOS, and a prompt is led by EOS.
    """
    padding: str = PADDING
    """Fills a block that the text does not; never a target."""
    extra: tuple[str, ...] = ()
    """Others, such as the markers of a chat template."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them once."""
        return tuple(dict.fromkeys((self.end_of_text, self.padding, *self.extra)))


DEFAULT_TOKENS = SpecialTokens()


def markers_in(chat_template: str) -> tuple[str, ...]:
    """The tokens that a chat template spells as <|name|>, in order of appearance."""
    return tuple(dict.fromkeys(_MARKER.findall(chat_template)))
