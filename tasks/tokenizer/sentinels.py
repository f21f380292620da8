"""The sentinels of T5 in texts: unlike other special tokens they are written, so that people can say where a gap is."""

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

_SPELLED = re.compile(r"(<extra_id_\d+>)")


class Sentinels:
    """What stands for dropped spans in a tokenizer, by spelling; a tokenizer may have none."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self.ids = {token.content: number for number, token in added.items() if _SPELLED.fullmatch(token.content)}
        self._special = {n for n, token in added.items() if token.special and token.content not in self.ids}

    def split(self, text: str) -> list[str | int]:
        """The text around its sentinels, and these as ids; what spells a sentinel that is not there stays text."""
        parts = _SPELLED.split(text) if self.ids else [text]
        return [self.ids.get(part, part) for part in parts if part]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; of special tokens it has sentinels only."""
        ids = list[int]()
        for part in self.split(text):
            ids += [part] if isinstance(part, int) else self._tokenizer.encode(part, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids with its sentinels, other special tokens left out."""
        kept = [token for token in tokens if token not in self._special]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))


def without_sentinels(text: str) -> str:
    """The text alone."""
    return _SPELLED.sub("", text)


def has_sentinels(text: str) -> bool:
    """Whether a text spells one."""
    return _SPELLED.search(text) is not None
