"""Compressed streams: gzip, bzip2, xz and Zstandard, unpacked piece by piece in bounded memory."""

import bz2
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tasks.formats.byte_stream import CHUNK_BYTES, ByteStream
from tasks.formats.records import Unusable

_FREE_BYTES = 10_000_000  # small files may expand as they like
_MAGIC_BYTES = 10
_XZ_MEMORY_BYTES = 256 << 20  # `xz -9` asks for 65 MiB
_ZSTD_WINDOW_BYTES = 1 << 27  # what the zstd tool takes without --long
_ZSTD_STEP_BYTES = 1024  # four bytes make up to 128 KiB, so that one step gives 32 MiB at most
_BZIP2_MAGICS = tuple(b"BZh%d" % level for level in range(1, 10))
_SKIPPABLE_FRAMES = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))


@dataclass(frozen=True)
class Limits:
    """How much a compressed stream may become; None for no limit."""

    max_expansion: float | None = None
    """Bytes out per byte in, once there are more than 10 MB of them."""
    max_bytes: int | None = None


class _Decoder(Protocol):
    """Unpacks one member of a stream."""

    eof: bool
    rest: memoryview
    """What of the bytes given was not used."""
    holds_back: bool
    """Whether more can come out without more going in."""

    def unpack(self, data: memoryview, size: int) -> bytes:
        """About `size` bytes of the contents."""
        ...


class Codec(NamedTuple):
    """A way of compressing."""

    name: str
    suffix: str
    magics: tuple[bytes, ...]
    begin: Callable[[], _Decoder]


class Unpacked:
    """The contents of a compressed stream of any number of members; Unusable where it is none, damaged or cut short.

    What stands before the damage is delivered first, which the file objects of the standard modules do not do.
    """

    def __init__(self, packed: ByteStream, codec: Codec, limits: Limits | None = None) -> None:
        self._file = packed
        self._codec = codec
        self._limits = limits or Limits()
        self._packed = self._ready = memoryview(b"")
        self._decoder: _Decoder | None = None
        self._num_members = self._num_in = self._num_out = 0
        self._problem: Unusable | None = None

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """The next bytes, unpacked; only so much of a bomb goes off as is asked for."""
        if not self._ready:
            self._ready = memoryview(self._advance(size))
        data, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return data

    def _advance(self, size: int) -> bytes:
        if self._problem is None:
            try:
                return self._next(size)
            except Unusable as problem:
                self._problem = problem
        raise self._problem

    def _next(self, size: int) -> bytes:
        while self._decoder is not None or self._begin_member():
            assert self._decoder is not None
            if not self._packed and not self._decoder.holds_back and not self._refill():
                raise Unusable(f"truncated_{self._codec.name}", f"the {self._codec.name} stream ends before its end")
            data = self._unpack(self._decoder, size)
            if data:
                return data
        return b""

    def _unpack(self, decoder: _Decoder, size: int) -> bytes:
        given = len(self._packed)
        try:
            data = decoder.unpack(self._packed, size)
        except _damage() as error:
            raise Unusable(f"damaged_{self._codec.name}", str(error)) from None
        self._packed = decoder.rest
        self._num_in += given - len(self._packed)
        self._num_out += len(data)
        if decoder.eof:
            self._decoder = None
        check_expansion(self._num_in, self._num_out, self._limits)
        return data

    def _refill(self) -> bool:
        self._packed = memoryview(self._file.read(CHUNK_BYTES))
        return bool(self._packed)

    def _begin_member(self) -> bool:
        """Whether there is a next member; zeros between members are padding."""
        while self._num_members and (not self._packed or self._packed[0] == 0):
            self._packed = memoryview(bytes(self._packed).lstrip(b"\0"))
            if not self._packed and not self._refill():
                return False
        while len(self._packed) < _MAGIC_BYTES and (more := self._file.read(CHUNK_BYTES)):
            self._packed = memoryview(bytes(self._packed) + more)
        if not self._packed:
            return False
        first = bytes(self._packed[:_MAGIC_BYTES])
        if not any(first.startswith(magic[: len(first)]) for magic in self._codec.magics):
            rule = f"damaged_{self._codec.name}" if self._num_members else "not_what_its_name_says"
            raise Unusable(rule, f"no {self._codec.name} stream begins with the bytes {first[:8].hex(' ')}")
        self._decoder = self._codec.begin()
        self._num_members += 1
        return True


def check_expansion(num_in: int, num_out: int, limits: Limits) -> None:
    """Raise Unusable (`expands_too_much`) for what is larger than the limits allow."""
    if limits.max_bytes is not None and num_out > limits.max_bytes:
        detail = f"over {limits.max_bytes / 1e9:g} GB when unpacked; raise ingest.max_unpacked_gb to take it"
        raise Unusable("expands_too_much", detail)
    if limits.max_expansion is not None and num_out > max(_FREE_BYTES, limits.max_expansion * num_in):
        detail = f"{num_in:,} bytes become at least {num_out:,}; raise ingest.max_expansion to take it"
        raise Unusable("expands_too_much", detail)


def codec_of_bytes(first: bytes) -> Codec | None:
    """The way that bytes are compressed, from how they begin."""
    return next((codec for codec in CODECS.values() if first.startswith(codec.magics)), None)


class _Gzip:
    def __init__(self) -> None:
        from isal import isal_zlib

        self._member: Any = isal_zlib.decompressobj(wbits=31)
        self.eof = self.holds_back = False
        self.rest = memoryview(b"")

    def unpack(self, data: memoryview, size: int) -> bytes:
        unpacked: bytes = self._member.decompress(data, size)
        self.eof = self._member.eof
        self.holds_back = len(unpacked) == size
        self.rest = memoryview(self._member.unused_data if self.eof else self._member.unconsumed_tail)
        return unpacked


class _Buffering:
    """bzip2 and xz, whose decompressors keep the input that they could not use yet."""

    def __init__(self, decompressor: Any) -> None:
        self._member = decompressor
        self.eof = self.holds_back = False
        self.rest = memoryview(b"")

    def unpack(self, data: memoryview, size: int) -> bytes:
        unpacked: bytes = self._member.decompress(data, size)
        self.eof = self._member.eof
        self.holds_back = not self.eof and not self._member.needs_input
        self.rest = memoryview(self._member.unused_data)
        return unpacked


class _Zstd:
    """Zstandard, whose decompressor gives all it can at once: it is fed in small steps."""

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor

        self._member: Any = ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        self.eof = self.holds_back = False
        self.rest = memoryview(b"")

    def unpack(self, data: memoryview, size: int) -> bytes:
        pieces, got, at = [], 0, 0
        while at < len(data) and got < size and not self.eof:
            piece = self._member.decompress(data[at : at + _ZSTD_STEP_BYTES])
            at = min(at + _ZSTD_STEP_BYTES, len(data))
            self.eof = self._member.eof
            pieces.append(piece)
            got += len(piece)
        self.rest = data[at - len(self._member.unused_data) if self.eof else at :]
        return b"".join(pieces)


def _damage() -> tuple[type[Exception], ...]:
    from isal import isal_zlib
    from zstandard import ZstdError

    return (isal_zlib.error, ZstdError, lzma.LZMAError, OSError, EOFError)  # type: ignore[return-value]  # isal's stub


_CODECS = (
    Codec("gzip", ".gz", (b"\x1f\x8b",), _Gzip),
    Codec("bzip2", ".bz2", _BZIP2_MAGICS, lambda: _Buffering(bz2.BZ2Decompressor())),
    Codec(
        "xz",
        ".xz",
        (b"\xfd7zXZ\0",),
        lambda: _Buffering(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)),
    ),
    Codec("zstd", ".zst", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE_FRAMES), _Zstd),
)
CODECS = {codec.suffix: codec for codec in _CODECS}
"""By the ending of the file's name."""
