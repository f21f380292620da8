"""TFRecord: read and written as TensorFlow does, and what damage costs. Google's protobuf is the reference."""

import io
import json
import struct
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.crc32c import masked_crc32c
from tasks.formats.records import Document, Malformed, ReadOptions, Record
from tasks.formats.tf_example import encode_example, features_of, values_of
from tasks.formats.tfrecord import read_tfrecord, write_tfrecord


def tensorflow_example() -> Any:
    """The class tf.train.Example, from its definition in tensorflow/core/example/{example,feature}.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    for name, kind in (("BytesList", 12), ("FloatList", 2), ("Int64List", 3)):
        file.message_type.add(name=name).field.add(name="value", number=1, label=3, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind = ".tensorflow." + "".join(word.capitalize() for word in name.split("_"))
        feature.field.add(name=name, number=number, label=1, type=11, type_name=kind, oneof_index=0)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".tensorflow.Feature")
    features.field.add(name="feature", number=1, label=3, type=11, type_name=".tensorflow.Features.FeatureEntry")
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, label=1, type=11, type_name=".tensorflow.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


Example = tensorflow_example()


def frame(data: bytes) -> bytes:
    size = struct.pack("<Q", len(data))
    return size + struct.pack("<I", masked_crc32c(size)) + data + struct.pack("<I", masked_crc32c(data))


def example(text: str, **integers: int) -> bytes:
    message = Example()
    message.features.feature["text"].bytes_list.value.append(text.encode())
    for name, value in integers.items():
        message.features.feature[name].int64_list.value.append(value)
    return bytes(message.SerializeToString())


def read(data: bytes, **options: object) -> list[Record]:
    return list(read_tfrecord(io.BytesIO(data), ReadOptions(**options)))  # type: ignore[arg-type]


def outcome(data: bytes, **options: object) -> list[tuple[int, str]]:
    return [(r.position, r.text if isinstance(r, Document) else r.rule) for r in read(data, **options)]


def test_an_example_that_protobuf_wrote_is_read():
    assert read(frame(example("静夜思", n=-7)), metadata_fields=("n",)) == [Document(1, "静夜思", '{"n":-7}')]


def test_what_is_written_is_what_protobuf_reads():
    file = io.BytesIO()
    write_tfrecord(file, [{"text": "静夜思", "ids": [1, -1, 2**63 - 1, -(2**63)], "score": [0.5, 2], "raw": b"\xff"}])
    (size,) = struct.unpack("<Q", file.getvalue()[:8])
    message = Example.FromString(file.getvalue()[12 : 12 + size])
    feature = message.features.feature
    assert frame(file.getvalue()[12 : 12 + size]) == file.getvalue()
    assert feature["text"].bytes_list.value == ["静夜思".encode()]
    assert feature["ids"].int64_list.value == [1, -1, 2**63 - 1, -(2**63)]
    assert feature["score"].float_list.value == [0.5, 2.0]
    assert feature["raw"].bytes_list.value == [b"\xff"]


values = (
    st.lists(st.binary(), min_size=1)
    | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)
    | st.lists(st.floats(width=32, allow_nan=False), min_size=1)
)


@given(st.dictionaries(st.text(), values))
def test_features_survive_protobuf_in_both_directions(features: dict[str, list[Any]]):
    ours = encode_example(features)
    theirs = Example.FromString(ours).SerializeToString()
    for data in (ours, theirs):
        assert {name: values_of(feature) for name, feature in features_of(data).items()} == features


def test_metadata_holds_single_values_lists_and_bytes():
    file = io.BytesIO()
    write_tfrecord(file, [{"text": "a", "id": 3, "tags": ["x", "文"], "raw": b"\xff", "score": 0.5, "none": []}])
    (record,) = read(file.getvalue(), metadata_fields=("tags", "raw", "score", "missing", "id", "none"))
    assert isinstance(record, Document)
    assert json.loads(record.metadata or "") == {"tags": ["x", "文"], "raw": "/w==", "score": 0.5, "id": 3, "none": []}


def test_a_record_with_a_bad_checksum_costs_only_itself():
    data = bytearray(frame(example("one")) + frame(example("two")) + frame(example("three")))
    data[data.index(b"two")] ^= 1
    assert outcome(bytes(data)) == [(1, "one"), (2, "damaged_tfrecord"), (3, "three")]


def test_a_damaged_length_costs_only_its_record():
    first, second = frame(example("one")), frame(example("two" * 500_000))
    data = bytearray(first + second + frame(example("three")))
    data[len(first) + 1] ^= 1
    assert outcome(bytes(data)) == [(1, "one"), (2, "damaged_tfrecord"), (3, "three")]


def test_a_damaged_length_of_the_last_record_ends_the_file():
    first = frame(example("one"))
    data = bytearray(first + frame(example("two")))
    data[len(first)] ^= 1
    assert outcome(bytes(data)) == [(1, "one"), (2, "damaged_tfrecord")]


@pytest.mark.parametrize("missing", [1, 4, 5, 20])
def test_a_cut_file_gives_the_records_before_the_cut(missing: int):
    data = frame(example("one")) + frame(example("two two two two"))
    assert outcome(data[:-missing]) == [(1, "one"), (2, "truncated_tfrecord")]


def test_a_record_over_the_limit_costs_only_itself():
    data = frame(example("one")) + frame(example("x" * 3_000_000)) + frame(example("three"))
    records = read(data, max_bytes=1_000_000)
    assert [record.position for record in records if isinstance(record, Document)] == [1, 3]
    assert isinstance(records[1], Malformed)
    assert records[1].rule == "too_large"


def test_records_without_one_text_say_what_they_hold():
    file = io.BytesIO()
    write_tfrecord(file, [{"body": "a"}, {"text": ["a", "b"]}, {"text": 7}, {"text": []}, {"text": " "}])
    records = [record for record in read(file.getvalue()) if isinstance(record, Malformed)]
    assert [record.rule for record in records] == ["missing_text"] * 4 + ["empty"]
    assert records[0].detail == "no feature 'text'; features are body"
    assert records[1].detail == "feature 'text' has 2 values of bytes, not one string"


def test_records_that_are_no_examples_are_quarantined():
    assert outcome(frame(b"plain text") + frame(example("b"))) == [(1, "damaged_tfrecord"), (2, "b")]


@pytest.mark.parametrize("data", [b'{"text": "a"}\n' * 9, b"PK\x03\x04" + bytes(100), b"short"])
def test_another_file_is_not_what_its_name_says(data: bytes):
    assert outcome(data) == [(1, "not_what_its_name_says")]


def test_an_empty_file_has_no_records():
    assert read(b"") == []
