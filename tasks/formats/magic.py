"""What the first bytes of a file say that it is, whatever its name says; packed files are told apart before."""

from tasks.formats.records import Unusable

_SAMPLE_BYTES = 4096
_MIN_CONTROL, _MAX_CONTROL = 32, 0.05
_MAGICS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"%PDF-", "a PDF file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x7fELF", "a program"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
)
# Control characters that text does not have. NUL is left out: a crash or a bad export leaves runs of it in good files.
_CONTROL = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\x1b"))


def check_is_text(first: bytes) -> None:
    """Unusable (`not_what_its_name_says`) when text, decoded to UTF-8, begins with these bytes that are none."""
    kind = next((kind for magic, kind in _MAGICS if first.startswith(magic)), None)
    sample = first[:_SAMPLE_BYTES]
    num_control = len(sample) - len(sample.translate(None, _CONTROL))
    if kind is None and num_control > max(_MIN_CONTROL, _MAX_CONTROL * len(sample)):
        kind = "binary data"
    if kind:
        raise Unusable("not_what_its_name_says", f"the file is {kind}: it begins with the bytes {first[:8].hex(' ')}")
