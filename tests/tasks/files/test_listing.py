"""Listing a folder: links, odd names, pipes; digests from hashlib."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from params.errors import SourceError
from tasks.files.hashing import UNREADABLE, hash_files
from tasks.files.listing import Listing, list_files
from tasks.files.places import locate

TEXT = ("**/*.txt",)


def test_files_come_sorted_by_path(tmp_path: Path):
    for name in ("b.txt", "a/z.txt", "a.txt", "skip.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    listing = list_files(tmp_path, TEXT, ())
    assert listing.paths == ["a.txt", "a/z.txt", "b.txt"]
    assert listing.suffixes == {".txt": 3, ".md": 1}


def test_exclude_wins_over_include(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    assert list_files(tmp_path, TEXT, ("**/tests/**",)).paths == ["b.txt"]


def test_links_out_of_the_root_are_not_followed_and_links_inside_are(tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("outside")
    (root / "inside.md").write_text("inside")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "in.txt").symlink_to(root / "inside.md")
    (root / "up").symlink_to(tmp_path)
    listing = list_files(root, TEXT, ())
    assert listing.paths == ["in.txt"]
    assert listing.num_links == 2


def test_a_root_reached_through_a_link_is_listed(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").touch()
    (tmp_path / "real" / "b.txt").symlink_to("a.txt")
    (tmp_path / "link").symlink_to("real")
    assert list_files(tmp_path / "link", TEXT, ()).paths == ["a.txt", "b.txt"]


def test_a_pipe_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert list_files(tmp_path, TEXT, ()).paths == []


def test_a_root_that_is_a_file_is_itself_whatever_the_patterns(tmp_path: Path):
    path = tmp_path / "corpus.data"
    path.write_text("x")
    assert list_files(path, TEXT, ()).paths == ["corpus.data"]
    assert locate(path, "corpus.data") == path


def test_a_name_in_gbk_is_listed_printably_and_found_again(tmp_path: Path):
    name = "静.txt".encode("gbk")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("床前明月光")
    (path,) = list_files(tmp_path, TEXT, ()).paths
    assert path == "\\xbe\\xb2.txt"  # 静 is BE B2 in GBK
    assert locate(tmp_path, path).read_text() == "床前明月光"


def test_digests_are_those_of_hashlib_for_small_and_large_files(tmp_path: Path):
    sizes = {"empty.txt": 0, "small.txt": 10, "edge.txt": 1 << 18, "large.txt": (1 << 18) + 1}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    for file in hash_files(tmp_path, Listing(list(sizes)), workers=2):
        data = (tmp_path / file.path).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_file_that_cannot_be_read_gets_no_digest(tmp_path: Path):
    (tmp_path / "broken.txt").symlink_to("nowhere.txt")
    assert list_files(tmp_path, TEXT, ()).paths == ["broken.txt"]
    (file,) = hash_files(tmp_path, Listing(["broken.txt"]), workers=1)
    assert file.sha256 == UNREADABLE


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_a_file_system_that_does_not_answer_is_no_folder_without_files(tmp_path: Path, monkeypatch, number: int):
    """What a mount says whose server is away."""

    def away(path: object, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    (tmp_path / "a.txt").write_text("text")
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", away)
        with pytest.raises(SourceError, match=rf"{tmp_path}.*: its file system does not answer .*; mount it again"):
            list_files(tmp_path, TEXT, ())
    monkeypatch.setattr(Path, "open", away)
    with pytest.raises(SourceError, match=r"a\.txt: its file system does not answer"):
        hash_files(tmp_path, Listing(["a.txt"]), workers=1)


def test_a_link_in_a_circle_is_not_followed(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    listing = list_files(tmp_path, TEXT, ())
    assert listing.paths == ["a/x.txt", "self.txt"]  # the latter is listed, and quarantined as unreadable
    assert listing.num_links == 1
    assert hash_files(tmp_path, listing, workers=1)[1].sha256 == UNREADABLE


def test_what_datasets_writes_beside_its_tables_is_left_out(tmp_path: Path):
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_dict({"text": ["one", "two"]})
    DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "both")
    rows.save_to_disk(tmp_path / "single")
    (tmp_path / "single" / "cache-0123.arrow").touch()
    (tmp_path / "state.json").write_text("{}")  # not beside a dataset_info.json
    (tmp_path / "dataset_info.json.txt").touch()
    expected = [
        "both/test/data-00000-of-00001.arrow",
        "both/train/data-00000-of-00001.arrow",
        "dataset_info.json.txt",
        "single/data-00000-of-00001.arrow",
        "state.json",
    ]
    assert list_files(tmp_path, ("**/*",), ()).paths == expected
    assert list_files(tmp_path / "single", ("**/*.{json,arrow}",), ()).paths == ["data-00000-of-00001.arrow"]
    assert list_files(tmp_path / "both", ("**/*.json",), ()).paths == []
