"""What raw text there is and where it lies."""

from typing import Literal

from pydantic import Field, model_validator

from params.base import Params

DEFAULT_INCLUDE = (
    "**/*.txt",
    "**/*.md",
    "**/*.rst",
    "**/*.html",
    "**/*.htm",
    "**/*.jsonl",
    "**/*.jsonl.gz",
    "**/*.parquet",
)


class SourceParams(Params):
    """One body of text: a file or a folder, and how its files are read."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name that documents, reports and mixtures use for this source."""
    path: str
    """A file, a folder, or python-environment for the site-packages of the running interpreter."""
    include: tuple[str, ...] = DEFAULT_INCLUDE
    """Glob patterns, relative to path, of the files to read; ** spans folders and {a,b} means either."""
    exclude: tuple[str, ...] = ()
    """Glob patterns, relative to path, of files to leave out."""
    text_field: str = "text"
    """Column or key that holds the text in jsonl and parquet files."""
    python: Literal["docstrings", "source"] = "docstrings"
    """What a .py file contributes: the prose of its docstrings, or the program text itself."""
    license: str = "unknown"
    """Licence of the text, for the lineage and the model card."""


class SurveyParams(Params):
    """The sources of a run."""

    sources: tuple[SourceParams, ...] = Field(min_length=1)
    """Bodies of text to read, in order of priority."""

    @model_validator(mode="after")
    def _names_differ(self) -> "SurveyParams":
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {twice[0]}; give each its own name")
        return self
