"""CRC-32C (Castagnoli), the checksum of TFRecord files: RFC 3720, section 12.1 and appendix B.4."""

import numpy as np
from numba import types

from tasks.text.buffers import Bytes
from tasks.text.kernels import BYTES, CODES, Codes, kernel, subroutine

_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41 with its bits reversed
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The checksum of some bytes."""
    return int(_crc32c(np.frombuffer(data, np.uint8), _TABLES))


def masked_crc32c(data: bytes) -> int:
    """The checksum as TFRecord stores it: turned and shifted, so that it also protects data which hold checksums."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & _ONES


def find_checked(data: bytes, at: int) -> int:
    """The first place from `at` on where eight bytes are followed by their masked checksum; -1 if there is none."""
    return int(_find_checked(np.frombuffer(data, np.uint8), at, _TABLES))


def _make_tables() -> Codes:
    """Eight tables of 256: row n takes a byte that n bytes follow, so that eight are taken at once."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, first >> 1 ^ _POLYNOMIAL, first >> 1).astype(np.uint32)
    tables = [first]
    for _ in range(7):
        tables.append(tables[-1] >> 8 ^ first[tables[-1] & 0xFF])
    return np.concatenate(tables)


@subroutine
def _checksum(data: Bytes, at: int, end: int, tables: Codes) -> np.uint32:
    checksum = np.uint32(_ONES)
    while at + 8 <= end:
        taken = np.uint32(0)
        for n in range(8):
            byte = np.uint32(data[at + n])
            if n < 4:
                byte ^= checksum >> np.uint32(8 * n) & np.uint32(0xFF)
            taken ^= tables[(7 - n) * 256 + byte]
        checksum = taken
        at += 8
    while at < end:
        checksum = tables[(checksum ^ np.uint32(data[at])) & np.uint32(0xFF)] ^ checksum >> np.uint32(8)
        at += 1
    return checksum ^ np.uint32(_ONES)


@kernel(types.uint32(BYTES, CODES))
def _crc32c(data: Bytes, tables: Codes) -> int:
    return int(_checksum(data, 0, data.size, tables))


@kernel(types.int64(BYTES, types.int64, CODES))
def _find_checked(data: Bytes, at: int, tables: Codes) -> int:
    while at + 12 <= data.size:
        checksum = np.uint32(_checksum(data, at, at + 8, tables))
        masked = (checksum >> np.uint32(15) | checksum << np.uint32(17)) + np.uint32(_MASK_DELTA)
        stored = np.uint32(0)
        for n in range(4):
            stored |= np.uint32(data[at + 8 + n]) << np.uint32(8 * n)
        if np.uint32(masked) == stored:
            return at
        at += 1
    return -1


_TABLES = _make_tables()
