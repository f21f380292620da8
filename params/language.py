"""Which languages are wanted."""

from typing import Annotated

from pydantic import Field

from params.base import Params

Certainty = Annotated[float, Field(ge=0, le=1)]


class LanguageParams(Params):
    """Name the language of each document; null rules reject none, and a text too short to tell is never rejected."""

    keep: tuple[str, ...] | None = None
    """Languages to keep, as ISO 639 codes such as en, zh or ja; zh also keeps zh-Hans and zh-Hant; null keeps all."""
    min_score: Certainty | None = None
    """Least certainty (FineWeb .65, Penedo et al. 2024; FineWeb2 .692 for Chinese)."""
    min_scores: dict[str, Certainty] = Field(default={}, max_length=200)
    """The same for single languages, such as zh: 0.692; they go before min_score."""
    min_letters: int = Field(default=50, ge=1)
    """Fewest letters to tell a language by; one of Han, kana or hangul counts as three."""
    sample_characters: int = Field(default=2000, ge=100)
    """How much of a document is looked at, from its beginning."""
    tell_chinese_scripts: bool = False
    """Say zh-Hans for simplified and zh-Hant for traditional Chinese, zh where the characters do not tell."""
