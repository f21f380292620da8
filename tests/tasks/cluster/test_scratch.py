"""Folders of clusters whose owner was killed are swept up, and no others."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.cluster.scratch import cluster_folder, sweep_dead_folders

OWN = """
import sys
from tasks.cluster.scratch import cluster_folder
with cluster_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_folder_is_gone_with_its_cluster():
    with cluster_folder() as folder:
        (Path(folder) / "session" / "sockets").mkdir(parents=True)
    assert not Path(folder).exists()


def test_the_folder_of_a_killed_owner_is_swept_up_and_that_of_a_living_one_is_not(tmp_path: Path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OWN], env=environment, text=True, **pipes) as owner:
        left = Path(owner.stdout.readline().strip())
        sweep_dead_folders()
        assert left.exists()
        owner.kill()
    with cluster_folder() as living:
        sweep_dead_folders()
        assert Path(living).exists()
    assert not left.exists()


def test_a_folder_without_a_lock_is_removed_only_once_it_is_old(tmp_path: Path):
    young, old = tmp_path / "gm-young", tmp_path / "gm-old"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    sweep_dead_folders()
    assert young.exists()
    assert not old.exists()


def test_what_only_bears_such_a_name_is_left_alone(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "gm-link").symlink_to(outside)
    (tmp_path / "gm-file").write_text("mine")
    os.utime(tmp_path / "gm-file", (0, 0))
    sweep_dead_folders()
    assert outside.exists()
    assert (tmp_path / "gm-link").is_symlink()
    assert (tmp_path / "gm-file").read_text() == "mine"
