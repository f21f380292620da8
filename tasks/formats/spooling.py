"""Streams as temporary files, for readers that go to and fro in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.records import Unusable


@contextmanager
def spooled(stream: ByteStream, folder: Path, max_bytes: int) -> Iterator[Path]:
    """A file with the contents of a stream, gone after the block; Unusable (`too_large_to_spool`) beyond the limit."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="spool-") as file:
        size_bytes = 0
        while chunk := stream.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                detail = f"over {max_bytes / 1e9:g} GB to be unpacked to disk; raise ingest.max_spool_gb to take it"
                raise Unusable("too_large_to_spool", detail)
            file.write(chunk)
        file.flush()
        yield Path(file.name)
