"""The columns of a document, kept or rejected."""

import pyarrow as pa

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # XXH3-128 of the raw text as 32 hex digits
        pa.field("source", pa.string(), nullable=False),  # name of the source in params.survey
        pa.field("path", pa.string(), nullable=False),  # file, relative to the source's root
        pa.field("position", pa.int64(), nullable=False),  # line or row in the file, from 1; 0 for a whole file
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("metadata", pa.string()),  # the wanted fields of its record as a JSON object
        pa.field("language", pa.string()),  # ISO 639 code, once clean has identified it
    ]
)

REJECTED = pa.schema(
    [
        *DOCUMENT,
        pa.field("rule", pa.string(), nullable=False),  # the rule that was broken, such as words.min_words
        pa.field("value", pa.float64()),  # what was measured
        pa.field("threshold", pa.float64()),  # what the rule asks for
        pa.field("detail", pa.string()),  # an error message, the document it duplicates …
    ]
)
