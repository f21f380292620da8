"""What raw text there is and where it lies."""

import codecs
from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from params.base import Params

_COMPRESSED = "{,.gz,.bz2,.xz,.zst}"
DEFAULT_INCLUDE = (
    "**/*.{txt,md,rst,html,htm,xhtml}" + _COMPRESSED,
    "**/*.{jsonl,ndjson,json,csv,tsv,parquet,pq,arrow,feather,ipc}" + _COMPRESSED,
    "**/*.{tfrecord,tfrecords,warc,wet,mbox,eml}" + _COMPRESSED,
    "**/*.{zip,tar" + _COMPRESSED + ",tgz,tbz,tbz2,txz,tzst}",
)
_SECRETS = ("key", "secret", "token", "password", "passwd", "pwd", "credential", "connection_string", "sas")


class PlaceParams(Params):
    """A file or a folder, here or behind a URL."""

    path: str
    """A file, a folder, a URL such as s3://bucket/prefix, or gristmill-examples/NAME for one that comes along."""
    storage_options: dict[str, Any] = Field(default={})
    """How the store behind a URL is reached: {endpoint_url: …}, {anon: true}; secrets go into its environment."""

    @model_validator(mode="after")  # of the model and not of the field, whose value an error would repeat
    def _url_holds_no_password(self) -> Self:
        if "://" in self.path and ":" in self.path.partition("://")[2].partition("/")[0].rpartition("@")[0]:
            raise ValueError("the URL of path holds a password, which would be logged; use the store's environment")
        return self

    @field_validator("storage_options")
    @classmethod
    def _options_hold_no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        if name := next(_secret_names(options), None):
            raise ValueError(
                f"{name} looks like a secret, which would be logged; set it in the environment (AWS_SECRET_ACCESS_KEY, "
                "FSSPEC_S3_SECRET …), in ~/.aws or in ~/.config/fsspec"
            )
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


def _secret_names(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if any(part in name.lower() for part in _SECRETS) and value not in (None, False, "anon"):
            yield name
        elif isinstance(value, dict):
            yield from _secret_names(value)
