"""Whether a tokenizer gives back what it was given, and reads a special token nowhere in a text."""

from collections.abc import Iterator

from tokenizers import Tokenizer

PROBES = (
    "The quick brown fox jumps over the lazy dog.",
    "  two  spaces,\ttabs\n\nand empty lines  ",
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "𠮷野家で牛丼を食べる。한국어도 됩니다.",
    "👩‍👩‍👧‍👦 🇨🇳 👍🏽 naïve café № 3.14159",
    "for i in range(10):\n    print(f'{i:>4}')",
    "<|endoftext|> and <|pad|> spelled out",
)
"""Strings that a tokenizer of a language model must give back unchanged."""


def lost_texts(tokenizer: Tokenizer) -> Iterator[tuple[str, str]]:
    """Probes, and the spellings of the special tokens, that come back changed or as a special token: text, result."""
    special = {index: token.content for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for text in (*PROBES, *(f"a {token} b" for token in special.values())):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        made = tokenizer.decode(ids, skip_special_tokens=True)
        if made != text:
            yield text, made
