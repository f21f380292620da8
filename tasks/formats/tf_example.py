"""tf.train.Example messages, read and written without TensorFlow: the protobuf wire format of three kinds of lists.

Example {features = 1: Features {feature = 1: map of name = 1 to value = 2: Feature {
    bytes_list = 1: {value = 1}, float_list = 2: {value = 1, packed}, int64_list = 3: {value = 1, packed}}}}
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

Value = bytes | str | int | float
"""Of a feature; text is stored as UTF-8."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_SIGN = 1 << 63


def features_of(data: bytes) -> dict[str, memoryview]:
    """The encoded features of an Example by name; ValueError when the bytes are none."""
    found: dict[str, memoryview] = {}
    for features in _messages(memoryview(data), 1):
        for entry in _messages(features, 1):
            name, feature = b"", memoryview(b"")
            for number, value in _fields(entry):
                if number == 1 and isinstance(value, memoryview):
                    name = bytes(value)
                elif number == 2 and isinstance(value, memoryview):
                    feature = value
            found[name.decode()] = feature
    return found


def values_of(feature: memoryview) -> list[bytes] | list[float] | list[int]:
    """The values of one feature; ValueError when it is damaged."""
    for number, values in _fields(feature):
        if not isinstance(values, memoryview):
            continue
        if number == _BYTES_LIST:
            return [bytes(value) for value in _messages(values, 1)]
        if number == _FLOAT_LIST:
            return list(_floats(values))
        if number == _INT64_LIST:
            return list(_integers(values))
    return []


def encode_example(features: Mapping[str, Value | Sequence[Value]]) -> bytes:
    """An Example with these features, in their order; TypeError for values of several kinds in one."""
    entries = []
    for name, value in features.items():
        values = [value] if isinstance(value, bytes | str | int | float) else list(value)
        entries.append(_tagged(1, _tagged(1, name.encode()) + _tagged(2, _feature(values))))
    return _tagged(1, b"".join(entries))


def _feature(values: list[Value]) -> bytes:
    if not values:
        return b""
    if all(isinstance(value, bytes | str) for value in values):
        encoded = (value.encode() if isinstance(value, str) else value for value in values)
        return _tagged(_BYTES_LIST, b"".join(_tagged(1, value) for value in encoded))  # type: ignore[arg-type]
    if all(isinstance(value, int) for value in values):
        return _tagged(_INT64_LIST, _tagged(1, b"".join(_varint(int(value) & 2 * _SIGN - 1) for value in values)))
    return _tagged(_FLOAT_LIST, _tagged(1, struct.pack(f"<{len(values)}f", *values)))


def _tagged(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message; fixed-width values as their bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no protobuf message: wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"no protobuf message: a field of {size} bytes at byte {at} of {len(data)}")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no protobuf message: an integer without end")


def _floats(values: memoryview) -> Iterator[float]:
    for packed in _messages(values, 1):
        if len(packed) % 4:
            raise ValueError(f"no protobuf message: floats in {len(packed)} bytes")
        yield from struct.unpack(f"<{len(packed) // 4}f", packed)


def _integers(values: memoryview) -> Iterator[int]:
    for number, value in _fields(values):
        if number != 1:
            continue
        if isinstance(value, int):  # written before lists were packed
            yield _signed(value)
            continue
        at = 0
        while at < len(value):
            integer, at = _read_varint(value, at)
            yield _signed(integer)


def _signed(value: int) -> int:
    return value - 2 * _SIGN if value & _SIGN else value
