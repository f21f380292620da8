"""What raw text there is and where it lies."""

import codecs
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from params.base import Params
from params.place import check_no_web_folder, check_options, check_url

_COMPRESSED = "{,.gz,.bz2,.xz,.zst}"
DEFAULT_INCLUDE = (
    "**/*.{txt,md,rst,html,htm,xhtml}" + _COMPRESSED,
    "**/*.{jsonl,ndjson,json,csv,tsv,parquet,pq,arrow,feather,ipc}" + _COMPRESSED,
    "**/*.{tfrecord,tfrecords,warc,wet,mbox,eml}" + _COMPRESSED,
    "**/*.{zip,tar" + _COMPRESSED + ",tgz,tbz,tbz2,txz,tzst}",
)


class PlaceParams(Params):
    """A file or a folder, here or behind a URL."""

    path: str
    """A file, a folder, a URL such as s3://bucket/prefix, or gristmill-examples/NAME for one that comes along."""
    storage_options: dict[str, Any] = Field(default={})
    """How the store behind a URL is reached: {endpoint_url: …}, {anon: true}; secrets go into its environment."""

    @model_validator(mode="after")  # of the model and not of the field, whose value an error would repeat
    def _url_holds_no_password_and_is_no_web_folder(self) -> Self:
        check_url(self.path, "path")
        check_no_web_folder(self.path)
        return self

    @field_validator("storage_options")
    @classmethod
    def _options_hold_no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        check_options(options)
        return options


class SourceParams(PlaceParams):
    """One body of text: a file or a folder, and how its files are read."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name that documents, reports and mixtures use for this source."""
    path: str
    """A file, a folder, a URL such as s3://bucket/prefix, or python-environment for the interpreter's site-packages."""
    include: tuple[str, ...] = DEFAULT_INCLUDE
    """Glob patterns, relative to path, of the files to read; ** spans folders and {a,b} means either."""
    exclude: tuple[str, ...] = ()
    """Glob patterns, relative to path, of files to leave out."""
    text_field: str = "text"
    """Column, key or feature that holds the text of a record; dots lead into nested ones, as in meta.body.text."""
    metadata_fields: tuple[str, ...] = ()
    """Columns, keys or headers that are kept beside the text as metadata: url, date (web archives), subject (mail) …"""
    encoding: str | None = None
    """Encoding of the text files, such as big5 or cp1251; null to detect it, or quarantine what is not certain."""
    python: Literal["docstrings", "source"] = "docstrings"
    """What a .py file contributes: the prose of its docstrings, or the program text itself."""
    license: str = "unknown"
    """Licence of the text, for the lineage and the model card."""

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            "文".encode(encoding, "replace")
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"{encoding!r} is no text encoding of Python; write gb18030, big5, cp1252 …") from None


class SurveyParams(Params):
    """The sources of a run."""

    sources: tuple[SourceParams, ...] = Field(json_schema_extra={"minItems": 1})
    """Bodies of text to read, in order of priority."""

    @model_validator(mode="after")
    def _names_differ(self) -> "SurveyParams":
        if not self.sources:
            raise ValueError("there is no source; name at least one")
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {twice[0]}; give each its own name")
        return self
