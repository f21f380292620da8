"""What counts as evaluation text in the training data, and what becomes of it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from params.base import Params
from params.survey import DEFAULT_INCLUDE


class EvaluationSetParams(Params):
    """Text that a model will be measured on: a file or a folder, and where in it the text stands."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name for rules and reports, such as mmlu."""
    path: str
    """A file or a folder."""
    include: tuple[str, ...] = DEFAULT_INCLUDE
    """Glob patterns, relative to path, of the files to read."""
    text_fields: tuple[str, ...] = Field(default=("text",), min_length=1)
    """Columns or keys that hold text in jsonl and parquet files; each is compared on its own."""


class DecontaminateParams(Params):
    """Keeps evaluation text out of the training documents."""

    evaluation_sets: tuple[EvaluationSetParams, ...] = ()
    """Evaluation sets to look for, in order of priority."""
    held_out: bool = True
    """Look for the validation and test documents of this run too."""
    ngram_words: int = Field(default=13, ge=1, le=64)
    """Words per n-gram where words stand between spaces (13: GPT-3, Brown et al. 2020, appendix C)."""
    ngram_characters: int = Field(default=13, ge=1, le=256)
    """Characters per n-gram in Han and other unspaced text; take 20 where min_overlap is 0 (docs/contamination.md)."""
    min_words: int = Field(default=8, ge=1)
    """Evaluation texts shorter than one n-gram are compared whole from this many words on (GPT-3: 8)."""
    min_characters: int = Field(default=13, ge=1)
    """The same for text without spaces; what is shorter still is counted as too short to tell."""
    max_documents: int | None = Field(default=10, ge=1)
    """An n-gram that occurs in more training documents is a common phrase and does not count (GPT-3: 10)."""
    min_overlap: float = Field(default=0.5, ge=0, le=1)
    """Share of the n-grams of the shorter of both texts that makes a training document contaminated; 0 for any one."""
    action: Literal["document", "span"] = "document"
    """Drop a contaminated document, or cut the matching passages out of it."""
    margin_characters: int = Field(default=200, ge=0)
    """Characters cut on either side of a matching passage (GPT-3: 200)."""
    max_pieces: int = Field(default=10, ge=1)
    """A document that falls into more pieces is dropped whole (GPT-3: 10)."""
    min_piece_characters: int = Field(default=200, ge=1)
    """Shorter pieces between two cuts go too (GPT-3: 200)."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        for unit in ("words", "characters"):
            least, size = getattr(self, f"min_{unit}"), getattr(self, f"ngram_{unit}")
            if least > size:
                raise ValueError(f"min_{unit} {least} is more than ngram_{unit} {size}")
        names = ["validation", "test", *(found.name for found in self.evaluation_sets)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two evaluation sets are named {twice[0]} (validation and test are the run's own)")
        return self
