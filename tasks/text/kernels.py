"""What all kernels share: the types of their arguments, reading UTF-8, hashing.

Signatures are explicit, so that each kernel is compiled once, when its module is first imported, and then read from
the cache on disk; so import these modules where the work begins, not at the top of a stage. The cache looks at the
kernel's own file only: after a change to a subroutine or a constant of another file, empty NUMBA_CACHE_DIR.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from tasks.text.buffers import Bytes

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Classes = npt.NDArray[np.uint16]
Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
CLASSES = types.Array(types.uint16, 1, "C", readonly=True)
CODES = types.Array(types.uint32, 1, "C", readonly=True)
HASHES = types.Array(types.uint64, 1, "C", readonly=True)
FLAGS = types.Array(types.bool_, 1, "C", readonly=True)
MUTABLE_BYTES = types.uint8[::1]
MUTABLE_OFFSETS = types.int64[::1]
COUNTS = types.Array(types.int64, 1, "C", readonly=True)
MUTABLE_COUNTS = types.int64[::1]
MUTABLE_HASHES = types.uint64[::1]
ROWS = types.int64[:, ::1]

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
"""FNV-1a, 64 bits (draft-eastlake-fnv), here over code points."""
_MASK = (1 << 64) - 1


def kernel(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile a function to machine code that releases the GIL and is cached on disk."""
    compiled: Callable[[Kernel], Kernel] = njit(signature, nogil=True, cache=True)
    return compiled


def subroutine(function: Kernel) -> Kernel:
    """A function for kernels to call, compiled into each of them.

    LLVM inlines it; numba's own inline="always" took 1.7 s more to compile for a gain of a tenth.
    """
    return cast(Kernel, njit(forceinline=True)(function))


@subroutine
def byte_at(data: Bytes, at: int) -> int:
    """data[at] for a position that is not negative: numba then leaves out what lets -1 mean the last."""
    return int(data[np.uint64(at)])


@subroutine
def _four_bytes(data: Bytes, at: int) -> int:
    return byte_at(data, at) | byte_at(data, at + 1) << 8 | byte_at(data, at + 2) << 16 | byte_at(data, at + 3) << 24


@subroutine
def eight_bytes(data: Bytes, at: int) -> np.uint64:
    """Eight bytes as one number; written out, for then LLVM makes one load of them."""
    return np.uint64(_four_bytes(data, at)) | np.uint64(_four_bytes(data, at + 4)) << np.uint64(32)


def _counting_zeros(instruction: str) -> Callable[[np.uint64], np.uint64]:
    """A function for kernels that is one instruction of LLVM."""

    def typed(_context: Any, _value: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(arguments[0], cgutils.false_bit)

        return types.uint64(types.uint64), generate

    return cast(Callable[[np.uint64], np.uint64], intrinsic(typed))


trailing_zeros, leading_zeros = _counting_zeros("cttz"), _counting_zeros("ctlz")
"""How many of the lowest, or of the highest, bits of a number of 64 bits are 0; 64 where all are."""


@subroutine
def is_ascii_letter(byte: int) -> bool:
    """Whether a byte of UTF-8 is a letter from A to Z or from a to z."""
    return 97 <= byte | 0x20 <= 122


@subroutine
def code_point(data: Bytes, at: int) -> tuple[int, int]:
    """The code point that starts at a position of valid UTF-8, and its length in bytes."""
    first = byte_at(data, at)
    if first < 0x80:
        return first, 1
    second = byte_at(data, at + 1) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, 2
    third = byte_at(data, at + 2) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | byte_at(data, at + 3) & 0x3F, 4


@subroutine
def code_before(data: Bytes, at: int) -> tuple[int, int]:
    """The code point that ends right before a position of valid UTF-8, and its length in bytes."""
    start = at - 1
    while byte_at(data, start) & 0xC0 == 0x80:
        start -= 1
    return code_point(data, start)


@subroutine
def lower(code: int, lower_case: Codes) -> np.uint64:
    """A code point in lower case."""
    if code < lower_case.size:
        return np.uint64(lower_case[code])
    return np.uint64(code)


@subroutine
def hash_on(state: np.uint64, value: np.uint64 | int) -> np.uint64:
    """FNV-1a with one more value."""
    return (state ^ np.uint64(value)) * np.uint64(FNV_PRIME)


@subroutine
def mix(value: np.uint64) -> np.uint64:
    """Every bit of the input changes half of the output's (finalizer of MurmurHash3, 64 bits)."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@subroutine
def hash_letters(state: np.uint64, data: Bytes, at: int, stop: int) -> tuple[np.uint64, int]:
    """FNV-1a over the ASCII letters from a position on, the usual case by a short way; where they end."""
    while at < stop and is_ascii_letter(byte_at(data, at)):
        state, at = hash_on(state, byte_at(data, at)), at + 1
    return state, at


def hash_word(word: str) -> int:
    """The hash that kernels compute of a lower-case word."""
    state = FNV_OFFSET
    for character in word:
        state = ((state ^ ord(character)) * FNV_PRIME) & _MASK
    return state
