"""What is said of a full disk."""

import os
import shutil
from pathlib import Path

from tasks.artifacts.space import full_disk, mount_point


def test_the_disk_and_what_is_missing_are_named(tmp_path: Path):
    free = shutil.disk_usage(tmp_path).free
    told = str(full_disk(tmp_path, during="clean", wanted_bytes=free + 10**15))
    assert told.startswith(f"clean: no space left in {tmp_path} (disk at {mount_point(tmp_path)}: ")
    assert "about 1,000,000,0" in told  # megabytes; what is free changes by a few meanwhile
    assert "gristmill gc" in told


def test_at_least_a_megabyte_is_missing_where_the_disk_is_full_all_the_same(tmp_path: Path):
    assert "about 1.0 MB are missing" in str(full_disk(tmp_path, wanted_bytes=0))


def test_a_mount_point_is_a_folder_above_that_is_one(tmp_path: Path):
    found = mount_point(tmp_path)
    assert os.path.ismount(found)
    assert tmp_path.is_relative_to(found)
    assert mount_point(Path("/")) == Path("/")
