"""Texts of the user's own to measure a model on, from any file that the pipeline reads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import xxhash

from params.errors import EvaluationError
from params.ingest import IngestParams
from params.language import LanguageParams
from params.survey import DEFAULT_INCLUDE
from tasks.artifacts.digest import digest_file
from tasks.evaluation.documents import UNKNOWN, Documents, beginning
from tasks.files.listing import list_files
from tasks.files.places import locate
from tasks.formats.reading import FileReader, Unpacking
from tasks.formats.records import Malformed, ReadOptions
from tasks.language.identification import identify
from tasks.shards.blocks import evenly
from tasks.text.normalization import normalize


def read_documents(path: Path, *, text_field: str, max_documents: int | None, max_bytes: int | None) -> Documents:
    """At most so many texts of a file or folder, spread evenly, normalized as training documents are.

    Raises EvaluationError where there is no text: a path that is missing, a column of another name.
    """
    if not path.exists():
        raise EvaluationError(f"{path} does not exist; name a file or folder of text, or a run")
    texts, problems = list[str](), list[str]()
    for found in _records(path, text_field):
        if isinstance(found, Malformed):
            problems.append(f"{found.rule}: {found.detail}")
        elif found.strip():
            texts.append(found)
    if not texts:
        why = f" ({len(problems)} records cannot be read, the first: {problems[0]})" if problems else ""
        raise EvaluationError(f"{path} has no text to evaluate on{why}; name the column of the text with --text-field")
    chosen = [texts[index] for index in evenly(len(texts), max_documents).tolist()]
    column = normalize(pa.array([beginning(text, max_bytes) for text in chosen], pa.large_string()))
    languages = [code or UNKNOWN for code in identify(column, LanguageParams()).codes]
    ids = [xxhash.xxh3_128_hexdigest(text.encode()) for text in chosen]
    return Documents(ids, [path.stem] * len(ids), languages, column.to_pylist())


def _records(path: Path, text_field: str) -> Iterator[str | Malformed]:
    root = path.absolute()
    names = list_files(root, DEFAULT_INCLUDE, ()).paths if root.is_dir() else [root.name]
    with tempfile.TemporaryDirectory() as scratch:
        reader = FileReader(ReadOptions(text_field=text_field), Unpacking.within(IngestParams(), Path(scratch)))
        for name in names:
            file = locate(root if root.is_dir() else root.parent, name)
            assert isinstance(file, Path)
            for _, record in reader.read(file, digest_file(file)):
                yield record if isinstance(record, Malformed) else record.text
