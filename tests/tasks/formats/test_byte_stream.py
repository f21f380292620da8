"""Gzip streams: whole, of several members, cut, damaged, and no gzip at all."""

import gzip
import hashlib
import io
import random
from contextlib import closing
from pathlib import Path

import pytest

from tasks.formats.byte_stream import HashedFile, Unpacked, read_whole
from tasks.formats.records import Unusable

NOISE = random.Random(1).randbytes(3_000_000)
PACKED = gzip.compress(NOISE, 1)


def unpack(data: bytes) -> tuple[bytes, str | None]:
    stream, got = Unpacked(io.BytesIO(data)), b""
    try:
        while chunk := stream.read(100_000):
            got += chunk
    except Unusable as problem:
        return got, problem.rule
    return got, None


def test_one_member_several_members_and_zero_padding_unpack_whole():
    assert unpack(PACKED) == (NOISE, None)
    assert unpack(PACKED + PACKED) == (NOISE + NOISE, None)
    assert unpack(PACKED + bytes(512)) == (NOISE, None)
    assert unpack(gzip.compress(b"") + PACKED) == (NOISE, None)
    assert unpack(b"") == (b"", None)


def test_what_stands_before_the_cut_is_delivered():
    got, rule = unpack(PACKED[: len(PACKED) // 2])
    assert rule == "truncated_gzip"
    assert len(got) > 1_400_000
    assert NOISE.startswith(got)


def test_a_missing_end_mark_loses_no_content():
    assert unpack(PACKED[:-4]) == (NOISE, "truncated_gzip")


def test_a_flipped_byte_is_found_by_the_checksum():
    damaged = bytearray(PACKED)
    damaged[1_500_000] ^= 1
    assert unpack(bytes(damaged))[1] == "damaged_gzip"


def test_bytes_after_the_end_are_damage():
    assert unpack(PACKED + b"junk") == (NOISE, "damaged_gzip")


@pytest.mark.parametrize("data", [b"plain text", b"\x1f", b"PK\x03\x04"])
def test_what_is_no_gzip_is_not_what_its_name_says(data: bytes):
    rule = "truncated_gzip" if data == b"\x1f" else "not_what_its_name_says"
    assert unpack(data) == (b"", rule)


def test_of_a_bomb_only_what_was_asked_for_is_unpacked():
    bomb = gzip.compress(bytes(200_000_000), 9)
    assert len(read_whole(Unpacked(io.BytesIO(bomb)), 1_000_000)) <= 3_000_000


def test_the_digest_covers_the_whole_file_however_little_was_read(tmp_path: Path):
    (tmp_path / "noise").write_bytes(NOISE)
    with closing(HashedFile(tmp_path / "noise")) as file:
        file.read(10)
        assert file.digest() == hashlib.sha256(NOISE).hexdigest()
