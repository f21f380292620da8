"""When a text is too obscene or hateful."""

from typing import Literal

from pydantic import Field

from params.base import Params


class HarmfulParams(Params):
    """Reject documents in which words of a list stand too dense; single ones are part of novels, news and medicine."""

    max_density: float = Field(default=10.0, ge=0, le=1000)
    """Most characters in listed words per 1,000 characters that are not blank."""
    min_different: int = Field(default=3, ge=1)
    """Different listed words that must occur before density counts."""
    lists: tuple[Literal["english", "chinese"], ...] = ("english", "chinese")
    """Lists that come with Gristmill."""
    extra_words: tuple[str, ...] = ()
    """More words and phrases, in either case; whole words where they begin or end in a letter of a to z or a digit."""
    allowed_words: tuple[str, ...] = ()
    """Words of the lists that shall not count."""
