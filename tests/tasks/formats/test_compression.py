"""Compressed streams: whole, of several members, cut, damaged, of another kind, and bombs."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc

import pytest
from zstandard import ZstdCompressionParameters, ZstdCompressor

from tasks.formats.byte_stream import read_whole
from tasks.formats.compression import CODECS, Limits, Unpacked, codec_of_bytes
from tasks.formats.records import Unusable

NOISE = random.Random(1).randbytes(3_000_000)
PACK = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": ZstdCompressor(write_checksum=True).compress,
}
PACKED = {ending: pack(NOISE) for ending, pack in PACK.items()}
each_codec = pytest.mark.parametrize("ending", PACK)


def unpack(data: bytes, ending: str, limits: Limits | None = None) -> tuple[bytes, str | None]:
    """What came out, and the rule that ended it."""
    stream, pieces = Unpacked(io.BytesIO(data), CODECS[ending], limits), []
    try:
        while piece := stream.read(100_000):
            pieces.append(piece)
    except Unusable as problem:
        return b"".join(pieces), problem.rule
    return b"".join(pieces), None


@each_codec
def test_one_member_several_members_and_zero_padding_unpack_whole(ending: str):
    packed, nothing = PACKED[ending], PACK[ending](b"")
    assert unpack(packed, ending) == (NOISE, None)
    assert unpack(packed + packed, ending) == (NOISE + NOISE, None)
    assert unpack(packed + bytes(512) + packed + bytes(512), ending) == (NOISE + NOISE, None)
    assert unpack(nothing + packed + nothing, ending) == (NOISE, None)
    assert unpack(b"", ending) == (b"", None)


@each_codec
def test_no_more_is_given_than_asked_for(ending: str):
    stream, data = Unpacked(io.BytesIO(PACKED[ending]), CODECS[ending]), b""
    while piece := stream.read(999):
        assert len(piece) <= 999
        data += piece[:1]
    assert len(data) >= 3_000_000 / 999


@each_codec
def test_what_stands_before_the_cut_is_delivered(ending: str):
    packed = PACKED[ending]
    got, rule = unpack(packed[: len(packed) // 2], ending)
    assert rule == f"truncated_{CODECS[ending].name}"
    assert len(got) > 1_400_000
    assert NOISE.startswith(got)


@each_codec
def test_a_missing_end_mark_loses_no_content(ending: str):
    assert unpack(PACKED[ending][:-4], ending) == (NOISE, f"truncated_{CODECS[ending].name}")


@each_codec
def test_a_flipped_byte_is_found_and_what_came_before_is_kept(ending: str):
    damaged = bytearray(PACKED[ending])
    damaged[1_500_000] ^= 1
    got, rule = unpack(bytes(damaged), ending)
    assert rule == f"damaged_{CODECS[ending].name}"
    assert got[:1_000_000] == NOISE[:1_000_000]


@each_codec
def test_bytes_after_the_end_are_damage(ending: str):
    assert unpack(PACKED[ending] + b"junk", ending) == (NOISE, f"damaged_{CODECS[ending].name}")


@each_codec
@pytest.mark.parametrize("data", [b"plain text", b"PK\x03\x04"])
def test_what_is_not_compressed_so_is_not_what_its_name_says(ending: str, data: bytes):
    assert unpack(data, ending) == (b"", "not_what_its_name_says")
    assert unpack(PACKED[ending][:1], ending) == (b"", f"truncated_{CODECS[ending].name}")


def test_a_problem_stays_one_when_more_is_asked_for():
    stream = Unpacked(io.BytesIO(b"plain"), CODECS[".gz"])
    for _ in range(2):
        with pytest.raises(Unusable, match="70 6c 61"):
            stream.read()


def test_a_skippable_frame_of_zstd_is_skipped():
    frame = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"  # RFC 8878, section 3.1.2
    assert unpack(frame + PACKED[".zst"] + frame, ".zst") == (NOISE, None)


def test_a_zstd_window_that_would_fill_the_memory_is_refused():
    packer = ZstdCompressor(compression_params=ZstdCompressionParameters(window_log=31, enable_ldm=True)).compressobj()
    packed = packer.compress(NOISE[:1000]) + packer.flush()
    assert unpack(packed, ".zst") == (b"", "damaged_zstd")


@each_codec
def test_of_a_bomb_only_a_piece_goes_off(ending: str):
    bomb = PACK[ending](bytes(100_000_000))
    tracemalloc.start()
    try:
        assert len(read_whole(Unpacked(io.BytesIO(bomb), CODECS[ending]), 1_000_000)) <= 34_000_000
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


@each_codec
def test_a_stream_that_expands_too_much_is_refused(ending: str):
    bomb = PACK[ending](bytes(60_000_000))
    for limits in (Limits(max_expansion=200), Limits(max_bytes=30_000_000)):
        got, rule = unpack(bomb, ending, limits)
        assert rule == "expands_too_much"
        assert len(got) < 60_000_000
    assert unpack(PACK[ending](bytes(9_000_000)), ending, Limits(max_expansion=200)) == (bytes(9_000_000), None)
    assert unpack(PACKED[ending], ending, Limits(200, 3_000_000)) == (NOISE, None)


@each_codec
def test_compressed_data_is_known_by_its_first_bytes(ending: str):
    assert codec_of_bytes(PACKED[ending]) is CODECS[ending]
    assert codec_of_bytes(b"BZ is short for Beta Zeta") is None
