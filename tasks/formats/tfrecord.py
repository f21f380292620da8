"""TFRecord files of tf.train.Example messages, read and written without TensorFlow.

A record is its length in eight bytes, their checksum, its bytes and their checksum, all little-endian (TensorFlow,
"TFRecord and tf.train.Example"). A record whose bytes are damaged costs only itself; where its length is, the next
length with a good checksum is searched for.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.charset import decode
from tasks.formats.fields import metadata_of, read_text
from tasks.formats.lookahead import Lookahead
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable, excerpt, too_large
from tasks.formats.tf_example import Value, encode_example, features_of, values_of

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def read_tfrecord(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per Example; records count from 1, and text and metadata are features."""
    source, number = Lookahead(stream), 0
    try:
        while source.peek(1):
            yield _next_record(source, number + 1, options)
            number += 1
    except Unusable as problem:
        yield problem.at(number + 1)


def write_tfrecord(file: BinaryIO, examples: Iterable[Mapping[str, Value | Sequence[Value]]]) -> None:
    """Write a record per Example, given as its features by name."""
    from tasks.formats.crc32c import masked_crc32c

    for features in examples:
        data = encode_example(features)
        size = struct.pack("<Q", len(data))
        file.write(size + _CHECKSUM.pack(masked_crc32c(size)) + data + _CHECKSUM.pack(masked_crc32c(data)))


def _next_record(source: Lookahead, number: int, options: ReadOptions) -> Record:
    from tasks.formats.crc32c import masked_crc32c

    header = source.peek(_HEADER.size)
    if len(header) < _HEADER.size or masked_crc32c(header[:8]) != _HEADER.unpack(header)[1]:
        if number == 1:
            raise Unusable("not_what_its_name_says", f"no TFRecord file begins with the bytes {header.hex(' ')}")
        num_skipped = _skip_to_header(source)
        return Malformed(number, "damaged_tfrecord", f"no length with a good checksum in {num_skipped:,} bytes")
    source.skip(len(header))
    size: int = _HEADER.unpack(header)[0]
    if size > options.max_bytes:
        beginning = source.peek(1 << 16)
        _check_size(source.skip(size + _CHECKSUM.size), size)
        return too_large(number, size, options, beginning)
    data = source.take(size + _CHECKSUM.size)
    _check_size(len(data), size)
    if masked_crc32c(data[:size]) != _CHECKSUM.unpack(data[size:])[0]:
        return Malformed(number, "damaged_tfrecord", "the checksum does not fit", excerpt(data))
    return _read_example(number, data[:size], options)


def _check_size(num_bytes: int, size: int) -> None:
    if missing := size + _CHECKSUM.size - num_bytes:
        raise Unusable("truncated_tfrecord", f"the file ends {missing} bytes before its last record does")


def _skip_to_header(source: Lookahead) -> int:
    """Go to the next length with a good checksum or to the end; how many bytes lie before it."""
    from tasks.formats.crc32c import find_checked

    num_skipped, first = 0, 1  # the place where the search begins is no such length
    while True:
        data = source.peek(CHUNK_BYTES)
        found = find_checked(data, first)
        is_end = found < 0 and len(data) < CHUNK_BYTES
        num_skipped += source.skip(found if found >= 0 else len(data) if is_end else len(data) - _HEADER.size + 1)
        if found >= 0 or is_end:
            return num_skipped
        first = 0


def _read_example(number: int, data: bytes, options: ReadOptions) -> Record:
    try:
        features = features_of(data)
        wanted = {name: values_of(features[name]) for name in options.metadata_fields if name in features}
        texts = values_of(features[options.text_field]) if options.text_field in features else None
    except ValueError as error:
        return Malformed(number, "damaged_tfrecord", f"not a tf.train.Example: {error}", excerpt(data))
    if not texts or len(texts) > 1 or not isinstance(texts[0], bytes):
        return Malformed(number, "missing_text", _what_is_there(texts, features, options.text_field), excerpt(data))
    row = {name: values[0] if len(values) == 1 else values for name, values in wanted.items()}
    metadata = metadata_of(row, options.metadata_fields) if row else None
    try:
        return read_text(number, decode(texts[0], options.encoding), metadata, options)
    except Unusable as problem:
        return Malformed(number, problem.rule, problem.detail, excerpt(texts[0]))


def _what_is_there(values: Sequence[Value] | None, features: Mapping[str, memoryview], field: str) -> str:
    if values is None:
        return f"no feature {field!r}; features are {', '.join(list(features)[:10]) or 'none'}"
    kind = type(values[0]).__name__ if values else "nothing"
    return f"feature {field!r} has {len(values)} values of {kind}, not one string"
