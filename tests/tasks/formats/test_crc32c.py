"""CRC-32C against the values of RFC 3720, appendix B.4, and of the catalogue of CRC algorithms."""

import pytest

from tasks.formats.crc32c import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksum_is_that_of_the_standard(data: bytes, value: int):
    assert crc32c(data) == value


def test_the_mask_turns_right_by_15_bits_and_adds_a_constant():
    turned = 0xE3069283 >> 15 | (0xE3069283 & 0x7FFF) << 17
    assert masked_crc32c(b"123456789") == (turned + 0xA282EAD8) % 2**32
