"""Shards passed on as they are."""

import os
from pathlib import Path

import pytest

from tasks.contamination.linking import link_shard


def test_a_shard_is_the_same_file_in_another_folder(tmp_path: Path):
    (tmp_path / "a.arrow").write_bytes(b"shard")
    link_shard(tmp_path / "a.arrow", tmp_path / "train" / "a.arrow")
    assert (tmp_path / "train" / "a.arrow").samefile(tmp_path / "a.arrow")
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["a.arrow"]


def test_a_half_written_copy_of_a_killed_attempt_is_replaced(tmp_path: Path):
    (tmp_path / "a.arrow").write_bytes(b"shard")
    (tmp_path / "b.arrow.tmp").write_bytes(b"sha")
    link_shard(tmp_path / "a.arrow", tmp_path / "b.arrow")
    assert (tmp_path / "b.arrow").read_bytes() == b"shard"
    assert not (tmp_path / "b.arrow.tmp").exists()


def test_where_no_link_can_be_made_it_is_copied():
    shared = Path("/dev/shm")  # another filesystem, where there is one
    source = Path(__file__)
    target = shared / f"gristmill-test-{os.getpid()}.py"
    if not shared.is_dir() or shared.stat().st_dev == source.stat().st_dev:
        pytest.skip("no other filesystem here")
    try:
        link_shard(source, target)
        assert target.read_bytes() == source.read_bytes()
    finally:
        target.unlink(missing_ok=True)
