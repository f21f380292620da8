"""How text is cut into tokens."""

from typing import Literal

from pydantic import Field, model_validator

from params.base import Params

NUM_BYTES = 256
Digits = Literal["single", "triple", "whole"]


class SpecialTokensParams(Params):
    """The tokens that stand for no text."""

    end_of_text: str | None = Field(default=None, min_length=1)
    """Separates documents and ends a generated text; null for <|endoftext|>, or what a loaded tokenizer has."""
    padding: str | None = Field(default=None, min_length=1)
    """Fills what the text leaves of a block; null for <|pad|>, or what a loaded tokenizer has."""
    extra: tuple[str, ...] = ()
    """Further special tokens, such as markers of a chat template; added to the vocabulary where it lacks them."""

    @model_validator(mode="after")
    def _tokens_differ(self) -> "SpecialTokensParams":
        if self.end_of_text is not None and self.end_of_text == self.padding:
            raise ValueError(f"end_of_text and padding are both {self.padding}; padding is never learned: name another")
        if not all(self.extra):
            raise ValueError("a token of extra is empty; every token needs a spelling")
        return self


class TrainTokenizerParams(Params):
    """A vocabulary over bytes: no unknown token, every string round-trips."""

    model: Literal["bpe", "unigram"] = "bpe"
    """How the vocabulary is learned: merges of frequent pairs, or the likeliest pieces of a unigram model."""
    from_path: str | None = None
    """Load a tokenizer instead: a tokenizer.json, GPT-2 vocabulary files or a transformers folder; null trains one."""
    vocab_size: int = Field(default=8192, ge=300, le=1_000_000)
    """Entries of the vocabulary, special tokens and the 256 bytes included."""
    min_frequency: int = Field(default=2, ge=1)
    """Fewest occurrences of a pair to be merged (bpe) or of a string to be a piece (unigram)."""
    digits: Digits = "single"
    """How numbers are cut before training: into single digits, groups of up to three, or not at all (whole)."""
    max_sample_mb: float = Field(default=200.0, gt=0)
    """Most megabytes of training text to learn from: the same share of every source, drawn by document hash."""
    special_tokens: SpecialTokensParams = SpecialTokensParams()
    """Tokens that stand for no text."""
    chat_template: str | None = None
    """chatml, or the path of a .jinja file, whose <|markers|> become special tokens; null keeps a loaded one, and auto
    (the default where a phase learns conversations) takes chatml where none is loaded."""

    @model_validator(mode="after")
    def _vocabulary_has_room(self) -> "TrainTokenizerParams":
        needed = NUM_BYTES + 2 + len(self.special_tokens.extra)
        if self.from_path is None and self.vocab_size < needed:
            raise ValueError(f"vocab_size {self.vocab_size} is less than the bytes and special tokens take: {needed}")
        return self
