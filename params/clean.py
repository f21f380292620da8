"""Which documents are fit to learn from; every threshold names its source.

Sources: Gopher is Rae et al. 2021 (arXiv 2112.11446), table A1; C4 is Raffel et al. 2020 (JMLR 21), section 2.2;
FineWeb is Penedo et al. 2024 (arXiv 2406.17557); FineWeb2 is its pipeline of 2024, configs/cmn_Hani.yml;
ChineseWebText is Chen et al. 2023 (arXiv 2311.01149); The Stack is Kocetkov et al. 2022 (arXiv 2211.15533).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from params.base import Params
from params.boilerplate import BoilerplateParams
from params.filter_presets import with_presets
from params.harmful import HarmfulParams
from params.language import LanguageParams
from params.privacy import PrivacyParams

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FINEWEB2_CHINESE_STOP_WORDS = tuple("的年在月是和日了於·為有被人中为他與後也而由")
C4_LINE_PHRASES = (
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
MAX_STOP_WORDS = 63
MAX_PHRASES = 32


Share = Annotated[float, Field(ge=0, le=1)]
Phrase = Annotated[str, Field(min_length=2)]
NgramLimits = Mapping[Annotated[int, Field(ge=1, le=64)], Annotated[float, Field(ge=0)] | None]


class RepetitionRules(Params):
    """Text that repeats itself (Gopher); null turns a rule off. Shares of characters are of all characters.

    Sizes of n-grams that are not named keep their default limits.
    """

    max_duplicate_paragraphs: Share | None = 0.3
    """Largest share of paragraphs that repeat an earlier one (Gopher)."""
    max_duplicate_paragraph_characters: Share | None = 0.2
    """Largest share of characters in such paragraphs (Gopher)."""
    max_duplicate_lines: Share | None = 0.3
    """Largest share of lines that repeat an earlier one; blank lines are no lines (Gopher)."""
    max_duplicate_line_characters: Share | None = 0.2
    """Largest share of characters in such lines (Gopher)."""
    max_top_ngram: NgramLimits | None = Field(default={2: 0.2, 3: 0.18, 4: 0.16})
    """For each n, the largest share of characters in the most frequent n words in a row (Gopher)."""
    count_single_ngrams: bool = False
    """Count the most frequent one even if it occurs once, as datatrove does: that rejects most texts under 25 words."""
    max_duplicate_ngrams: NgramLimits | None = Field(default={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1})
    """For each n, the largest share of characters in n words in a row that occurred before (Gopher)."""

    @field_validator("max_top_ngram", "max_duplicate_ngrams", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        """Sizes are numbers; on the command line they are parts of a name, so text."""
        if not isinstance(given, Mapping):
            return given
        sizes = {int(key) if isinstance(key, str) and key.isdecimal() else key: limit for key, limit in given.items()}
        return {**cls.model_fields[str(info.field_name)].default, **sizes}


class CharacterRepetitionRules(RepetitionRules):
    """The same for scripts without spaces between words, where n counts characters; null turns a rule off."""

    max_duplicate_lines: Share | None = 0.287
    """Largest share of lines that repeat an earlier one (FineWeb2, Chinese)."""
    max_top_ngram: NgramLimits | None = Field(default={3: 0.256, 5: 0.201, 6: 0.171})
    """As FineWeb2 for 2, 3 and 4 Chinese words of about 1.6 characters."""
    max_duplicate_ngrams: NgramLimits | None = Field(
        default={8: 0.198, 10: 0.182, 11: 0.167, 13: 0.154, 14: 0.14, 16: 0.127}
    )
    """As FineWeb2 for 5 to 10 Chinese words of about 1.6 characters."""


class WordRules(Params):
    """Quality in scripts that put spaces between words; null turns a rule off."""

    min_words: int | None = Field(default=50, ge=0)
    """Fewest words (Gopher)."""
    max_words: int | None = Field(default=100_000, ge=1)
    """Most words (Gopher)."""
    min_mean_word_length: float | None = Field(default=3.0, ge=0)
    """Shortest mean word, in characters (Gopher)."""
    max_mean_word_length: float | None = Field(default=10.0, ge=0)
    """Longest mean word, in characters (Gopher)."""
    min_alpha_words: Share | None = 0.8
    """Smallest share of words with at least one letter; punctuation outside words counts as words here (Gopher)."""
    min_stop_words: int | None = Field(default=2, ge=0)
    """Fewest different stop words (Gopher); asked only of documents in Latin script."""
    stop_words: tuple[str, ...] = Field(default=GOPHER_STOP_WORDS, max_length=MAX_STOP_WORDS)
    """The stop words, in lower case, upper case or with a capital; set those of your language."""


class CharacterRules(Params):
    """Quality in Chinese and other scripts without spaces between words; null turns a rule off."""

    min_characters: int | None = Field(default=10, ge=0)
    """Fewest letters; 10 keeps a quatrain of five-character lines (ChineseWebText asks for 200)."""
    max_characters: int | None = Field(default=200_000, ge=1)
    """Most letters."""
    min_letters: Share | None = 0.6
    """Smallest share of letters among the characters that are not blank (FineWeb2's .735 of words is .83 here)."""
    min_unspaced: Share | None = None
    """Smallest share of letters in scripts without spaces, asked of every document (ChineseWebText: .3 Chinese)."""
    min_stop_words: int | None = Field(default=None, ge=0)
    """Fewest different stop words (FineWeb2 asks 2 of Chinese)."""
    stop_words: tuple[Annotated[str, Field(max_length=1)], ...] = Field(
        default=FINEWEB2_CHINESE_STOP_WORDS, max_length=MAX_STOP_WORDS
    )
    """The stop words, single characters, in both Chinese scripts (FineWeb2)."""


class LineRules(Params):
    """Quality of lines that are not blank and of symbols, in every script; null turns a rule off."""

    max_symbols_per_word: float | None = Field(default=0.1, ge=0)
    """Most # signs, and most ellipses, per word (Gopher); in unspaced scripts per letter."""
    max_bullet_lines: Share | None = 0.9
    """Largest share of lines that start with a bullet (Gopher)."""
    max_ellipsis_lines: Share | None = 0.3
    """Largest share of lines that end with an ellipsis (Gopher)."""
    min_mean_line_length: float | None = Field(default=None, ge=0)
    """Shortest mean line, in characters (ChineseWebText: 10)."""
    max_mean_line_length: float | None = Field(default=None, ge=0)
    """Longest mean line, in characters (The Stack: 100, for code)."""
    max_line_length: int | None = Field(default=None, ge=1)
    """Longest line, in characters (The Stack: 1,000, for code)."""
    min_alphanumeric: Share | None = None
    """Smallest share of letters and numbers among the characters that are not blank (The Stack: .25, for code)."""


class C4Rules(Params):
    """The rules of C4, which removes lines first and then judges what is left; null or false turns a rule off."""

    remove_lines: bool = True
    """Remove the lines that break a rule, and blank lines and indents with them; false only counts them."""
    max_bad_lines: Share | None = None
    """Largest share of lines that break a rule; C4 sets no limit."""
    terminal_punctuation: bool = True
    """A line ends in . ? ! or a quotation mark, also the full-width ones, and in no ellipsis (off in FineWeb)."""
    min_words_per_line: int | None = Field(default=3, ge=0)
    """Fewest words of a line; each letter of an unspaced script counts as one."""
    max_word_length: int | None = Field(default=1000, ge=1)
    """Longest word of a line, in characters."""
    line_phrases: tuple[Phrase, ...] = Field(default=C4_LINE_PHRASES, max_length=MAX_PHRASES)
    """A line with one of these phrases breaks a rule; upper or lower case."""
    remove_citations: bool = True
    """Remove [1], [edit] and [citation needed] from the lines that stay."""
    min_sentences: int | None = Field(default=5, ge=0)
    """Fewest sentences in the lines that break no rule."""
    max_curly_brackets: int | None = Field(default=0, ge=0)
    """Most { in the lines that break no rule: C4 takes them for code."""
    document_phrases: tuple[Phrase, ...] = Field(default=("lorem ipsum",), max_length=MAX_PHRASES)
    """A document with one of these phrases, in lines that break no rule, is rejected; upper or lower case."""


class FineWebRules(Params):
    """FineWeb's own rules, about lines that are not blank; null turns a rule off."""

    min_punctuated_lines: Share | None = 0.12
    """Smallest share of lines that end in a full stop, question or exclamation mark of any script (FineWeb)."""
    max_short_lines: Share | None = 0.67
    """Largest share of short lines (FineWeb)."""
    short_line_length: int = Field(default=30, ge=0)
    """A line of so many characters is short (FineWeb)."""
    max_duplicate_line_characters: Share | None = 0.01
    """Largest share of characters, line ends left out, in lines that repeat an earlier one (FineWeb)."""
    max_newlines_per_word: float | None = Field(default=0.3, ge=0)
    """Most line ends per word, punctuation outside words counting as words (FineWeb)."""


class CharacterFineWebRules(FineWebRules):
    """The same for scripts without spaces between words; null turns a rule off."""

    min_punctuated_lines: Share | None = 0.106
    """Smallest share of lines that end in a full stop, question or exclamation mark (FineWeb2, Chinese)."""
    max_short_lines: Share | None = None
    """Largest share of short lines (off in FineWeb2)."""
    max_duplicate_line_characters: Share | None = 0.1
    """Largest share of characters in lines that repeat an earlier one (FineWeb2)."""
    max_newlines_per_word: float | None = Field(default=0.115, ge=0)
    """Most line ends per token, here a letter or a mark (decides as FineWeb2's .178 per Chinese word of jieba)."""


class CleanParams(Params):
    """Text normalization and the quality filters; the first broken rule rejects a document.

    A document counts as unspaced where scripts without spaces between words write at least 30 % of its letters. The
    families are asked in FineWeb's order: repetition, quality, C4, FineWeb.
    """

    preset: tuple[str, ...] = ()
    """Filter families by name, such as [gopher, c4, fineweb]: they are on and the others off, but for what is set."""
    repair: bool = True
    """Mend text that was read in a wrong encoding, such as cafÃ©; Chinese punctuation and widths stay."""
    boilerplate: BoilerplateParams | None = BoilerplateParams()
    """Drop lines that are furniture of web pages; null keeps them."""
    language: LanguageParams | None = LanguageParams()
    """Name the language of each document and keep the wanted ones; null leaves it unknown."""
    word_split: Literal["words", "whitespace"] = "words"
    """Words without the punctuation around them, nearly as datatrove cuts, or whatever stands between blanks."""
    repetition: RepetitionRules | None = RepetitionRules()
    """Repetition in spaced scripts; null turns the family off."""
    repetition_unspaced: CharacterRepetitionRules | None = CharacterRepetitionRules()
    """Repetition in unspaced scripts; null turns the family off."""
    words: WordRules | None = WordRules()
    """Quality in spaced scripts; null turns the family off."""
    characters: CharacterRules | None = CharacterRules()
    """Quality in unspaced scripts; null turns the family off."""
    lines: LineRules | None = LineRules()
    """Quality of lines and symbols in every script; null turns the family off."""
    c4: C4Rules | None = None
    """C4's rules, in every script; null turns the family off."""
    fineweb: FineWebRules | None = None
    """FineWeb's own rules in spaced scripts; null turns the family off."""
    fineweb_unspaced: CharacterFineWebRules | None = None
    """FineWeb2's thresholds of the same in unspaced scripts; null turns the family off."""
    harmful: HarmfulParams | None = None
    """Reject obscene and hateful text by the density of words of a list; null asks for none."""
    privacy: PrivacyParams | None = PrivacyParams()
    """What becomes of personal data in the documents that are kept; null leaves it in."""

    @model_validator(mode="before")
    @classmethod
    def _lay_over_presets(cls, given: Any) -> Any:
        return with_presets(given) if isinstance(given, Mapping) else given

    @field_validator("preset", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given
