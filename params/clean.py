"""Which documents are fit to learn from; every threshold names its source."""

from pydantic import Field

from params.base import Params

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


class WordRules(Params):
    """Rules for scripts that put spaces between words; null turns a rule off."""

    min_words: int | None = Field(default=50, ge=0)
    """Fewest words (Gopher, Rae et al. 2021, appendix A)."""
    max_words: int | None = Field(default=100_000, ge=1)
    """Most words (Gopher)."""
    min_mean_word_length: float | None = Field(default=3.0, ge=0)
    """Shortest mean word, in characters (Gopher)."""
    max_mean_word_length: float | None = Field(default=10.0, ge=0)
    """Longest mean word, in characters (Gopher)."""
    min_alpha_words: float | None = Field(default=0.8, ge=0, le=1)
    """Smallest share of words with at least one letter; punctuation outside words counts as words here (Gopher)."""
    min_stop_words: int | None = Field(default=2, ge=0)
    """Fewest different stop words (Gopher); asked only of documents in Latin script."""
    stop_words: tuple[str, ...] = Field(default=GOPHER_STOP_WORDS, max_length=63)
    """The stop words, upper or lower case; set those of your language."""


class CharacterRules(Params):
    """Rules for Chinese and other scripts without spaces between words; null turns a rule off."""

    min_characters: int | None = Field(default=10, ge=0)
    """Fewest letters; short enough to keep a quatrain of five-character lines."""
    max_characters: int | None = Field(default=200_000, ge=1)
    """Most letters."""
    min_letters: float | None = Field(default=0.6, ge=0, le=1)
    """Smallest share of letters among the characters that are not blank (FineWeb2 uses .735 for running Chinese)."""


class LineRules(Params):
    """Rules about lines that are not blank and about symbols, for every script; null turns a rule off."""

    max_symbols_per_word: float | None = Field(default=0.1, ge=0)
    """Most # signs, and most ellipses, per word (Gopher); in unspaced scripts per letter."""
    max_bullet_lines: float | None = Field(default=0.9, ge=0, le=1)
    """Largest share of lines that start with a bullet (Gopher)."""
    max_ellipsis_lines: float | None = Field(default=0.3, ge=0, le=1)
    """Largest share of lines that end with an ellipsis (Gopher)."""
    max_duplicate_lines: float | None = Field(default=0.3, ge=0, le=1)
    """Largest share of lines that repeat an earlier line (Gopher)."""
    max_duplicate_line_characters: float | None = Field(default=0.2, ge=0, le=1)
    """Largest share of characters in such lines (Gopher)."""


class CleanParams(Params):
    """Text normalization and the first set of quality filters; the first broken rule rejects a document."""

    words: WordRules = WordRules()
    """Rules for spaced scripts."""
    characters: CharacterRules = CharacterRules()
    """Rules for unspaced scripts: where they write at least 30 % of the letters."""
    lines: LineRules = LineRules()
    """Rules for every script."""
