"""Archives: their files in order, nothing that escapes, and what is damaged, hidden or a bomb refused by name."""

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.formats.archives import Member, Refused, tar_members, zip_members
from tasks.formats.compression import Limits
from tasks.formats.records import Unusable

NOISE = random.Random(1).randbytes(300_000)
LIMITS = Limits(max_expansion=200)


def contents(members: Iterator[Member | Refused]) -> dict[str, bytes | str]:
    """Bytes of each member, or the rule by which it was refused."""
    found: dict[str, bytes | str] = {}
    for member in members:
        if isinstance(member, Refused):
            found[member.name] = member.rule
            continue
        data = b""
        try:
            while piece := member.stream.read():
                data += piece
        except Unusable as problem:
            found[member.name] = problem.rule
        else:
            found[member.name] = data
    return found


def make_tar(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT, **others: bytes) -> bytes:
    """A tar file; `others` are names of entries without content and their types."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, type_ in others.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = type_, "/etc/passwd"
            archive.addfile(entry)
    return packed.getvalue()


def make_zip(path: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_of_a_tar_come_in_order_with_long_and_chinese_names(kind: int):
    files = {"b.txt": NOISE, "诗/静夜思.txt": "床前明月光".encode(), "a/" + "x" * 90 + "/c.txt": b"c", "empty.txt": b""}
    found = contents(tar_members(io.BytesIO(make_tar(files, kind))))
    assert list(found.items()) == list(files.items())


def test_what_was_not_read_of_a_member_is_skipped():
    members = tar_members(io.BytesIO(make_tar({"a.txt": NOISE, "b.txt": b"b"})))
    assert [member.name for member in members] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.txt", "a/../../up.txt", "..\\up.txt", "C:\\x.txt", "a/.."])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str):
    entry = tarfile.TarInfo(name)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry)
    assert contents(tar_members(io.BytesIO(packed.getvalue()))) == {name: "unsafe_name"}
    assert contents(zip_members(make_zip(tmp_path / "x.zip", {name: b"x"}), LIMITS)) == {name: "unsafe_name"}


def test_links_pipes_and_devices_of_a_tar_are_refused_by_name():
    kinds = {"soft.txt": tarfile.SYMTYPE, "hard.txt": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "tty": tarfile.CHRTYPE}
    found = contents(tar_members(io.BytesIO(make_tar({"a.txt": b"a"}, **kinds))))
    assert found == {"a.txt": b"a", **dict.fromkeys(kinds, "not_a_file")}


def test_folders_are_no_entries(tmp_path: Path):
    assert contents(tar_members(io.BytesIO(make_tar({"a/b.txt": b"b"}, a=tarfile.DIRTYPE)))) == {"a/b.txt": b"b"}
    assert contents(zip_members(make_zip(tmp_path / "x.zip", {"a/": b"", "a/b.txt": b"b"}), LIMITS)) == {
        "a/b.txt": b"b"
    }


def test_a_tar_that_is_cut_keeps_what_came_before():
    data = make_tar({"a.txt": b"a", "b.txt": NOISE})
    members = tar_members(io.BytesIO(data[: len(data) // 2]))
    assert contents([next(members)]) == {"a.txt": b"a"}  # type: ignore[arg-type]
    assert contents([next(members)]) == {"b.txt": "damaged_tar"}  # type: ignore[arg-type]
    with pytest.raises(Unusable) as problem:
        next(members)
    assert problem.value.rule == "damaged_tar"


def test_a_damaged_header_ends_a_tar():
    data = bytearray(make_tar({"a.txt": b"a", "b.txt": b"b"}))
    data[1024 + 10] ^= 1  # the second header: its checksum no longer fits
    found = []
    with pytest.raises(Unusable) as problem:
        found += [member.name for member in tar_members(io.BytesIO(bytes(data)))]
    assert problem.value.rule == "damaged_tar"


def test_a_tar_without_its_end_mark_may_have_lost_files():
    data = make_tar({"a.txt": b"a", "b.txt": b"b"})
    found = []
    with pytest.raises(Unusable, match="neither another nor the end mark"):
        found += [member.name for member in tar_members(io.BytesIO(data[:2048]))]


def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read():
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 8 << 30
    stream = io.BytesIO(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    with pytest.raises(Unusable, match="a header that claims"):
        contents(tar_members(stream))


@pytest.mark.parametrize("data", [b"plain text" * 100, gzip.compress(NOISE), b"PK"])
def test_what_is_no_archive_is_not_what_its_name_says(tmp_path: Path, data: bytes):
    (tmp_path / "x.zip").write_bytes(data)
    for members in (tar_members(io.BytesIO(data)), zip_members(tmp_path / "x.zip", LIMITS)):
        with pytest.raises(Unusable) as problem:
            contents(members)
        assert problem.value.rule in ("not_what_its_name_says", "damaged_tar")


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_files_of_a_zip_come_in_order(tmp_path: Path, how: int):
    files = {"b.txt": NOISE, "诗/静夜思.txt": "床前明月光".encode(), "empty.txt": b""}
    assert list(contents(zip_members(make_zip(tmp_path / "x.zip", files, how), LIMITS)).items()) == list(files.items())


def test_a_chinese_name_in_gbk_is_read(tmp_path: Path):
    name = "我们在这里说明如何使用这个程序.txt"
    path = make_zip(tmp_path / "x.zip", {"x" * len(name.encode("gbk")): b"x"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(name.encode("gbk")), name.encode("gbk")))
    assert contents(zip_members(path, LIMITS)) == {name: b"x"}


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_member_that_is_damaged_is_quarantined_alone(tmp_path: Path, how: int):
    path = make_zip(tmp_path / "x.zip", {"a.txt": NOISE, "b.txt": b"b"}, how)
    data = bytearray(path.read_bytes())
    data[150_000] ^= 1
    path.write_bytes(bytes(data))
    assert contents(zip_members(path, LIMITS)) == {"a.txt": "damaged_zip", "b.txt": b"b"}


def test_an_encrypted_member_and_a_link_are_refused(tmp_path: Path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.txt", b"secret")
        archive.writestr("plain.txt", b"plain")
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)  # the second entry of the directory
    data[at + 8] |= 1  # general purpose bit 0: encrypted (APPNOTE 4.4.4)
    path.write_bytes(bytes(data))
    found = contents(zip_members(path, LIMITS))
    assert found == {"link.txt": "not_a_file", "secret.txt": "encrypted", "plain.txt": b"plain"}


def test_an_unknown_compression_is_refused(tmp_path: Path):
    path = make_zip(tmp_path / "x.zip", {"a.txt": b"a" * 100})
    data = path.read_bytes()
    at = data.find(b"PK\x01\x02")
    method = (9).to_bytes(2, "little")  # Deflate64
    path.write_bytes(data[:8] + method + data[10 : at + 10] + method + data[at + 12 :])
    assert contents(zip_members(path, LIMITS)) == {"a.txt": "unsupported_compression"}


def test_a_zip_bomb_is_refused_by_ratio_and_by_size(tmp_path: Path):
    path = make_zip(tmp_path / "x.zip", {"bomb.txt": bytes(20_000_000), "b.txt": b"b"})
    assert contents(zip_members(path, LIMITS)) == {"bomb.txt": "expands_too_much", "b.txt": b"b"}
    assert contents(zip_members(path, Limits(None, 1_000_000)))["bomb.txt"] == "expands_too_much"
    assert contents(zip_members(path, Limits()))["bomb.txt"] == bytes(20_000_000)


def test_members_that_share_their_bytes_are_a_bomb_together(tmp_path: Path):
    path = make_zip(tmp_path / "x.zip", {f"{n}.txt": bytes(9_000_000) for n in range(4)})
    found = contents(zip_members(path, LIMITS))
    assert found["0.txt"] == bytes(9_000_000)
    assert found["3.txt"] == "expands_too_much"
