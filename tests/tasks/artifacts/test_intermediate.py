"""Intermediate files: there after a kill, gone after the machine went down, and never waited for."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.artifacts import intermediate
from tasks.artifacts.digest import commit_in_draft, write_atomic
from tasks.artifacts.intermediate import scratch_folder


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files and folders that were forced onto the disk."""
    names: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: names.append(Path(f"/dev/fd/{handle}").resolve().name))
    return names


@pytest.fixture
def start_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`start_machine(number)`: what the system says after it was started for this time."""

    def start(number: int) -> None:
        boot_id = tmp_path / "boot_id"
        boot_id.write_text(f"{number}\n")
        monkeypatch.setattr(intermediate, "_BOOT_ID", boot_id)
        intermediate._name.cache_clear()

    yield start
    intermediate._name.cache_clear()


def test_another_process_finds_what_was_written_until_the_machine_is_started_anew(start_machine, tmp_path):
    draft = tmp_path / "draft"
    start_machine(1)
    scratch = scratch_folder(draft)
    scratch.mkdir(parents=True)
    (scratch / "part").write_text("x")
    (draft / "result").write_text("y")
    start_machine(1)
    assert scratch_folder(draft) == scratch
    assert (scratch / "part").read_text() == "x"
    start_machine(2)
    assert scratch_folder(draft) != scratch
    assert [path.name for path in draft.iterdir()] == ["result"]


def test_only_what_lies_elsewhere_is_forced_onto_the_disk(synced, tmp_path):
    for folder in (scratch_folder(tmp_path) / "a", tmp_path / "scratch"):
        folder.mkdir(parents=True)
        (folder / "f.tmp").write_text("x")
        commit_in_draft(folder / "f.tmp", folder / "f")
        write_atomic(folder / "g", "y")
        assert sorted(path.name for path in folder.iterdir()) == ["f", "g"]
    assert synced == ["f.tmp", "g.tmp", "scratch"]


def test_of_a_folder_of_another_machine_files_are_forced_onto_the_disk(start_machine, synced, tmp_path):
    start_machine(1)
    elsewhere = scratch_folder(tmp_path)
    start_machine(2)
    elsewhere.mkdir()
    write_atomic(elsewhere / "f", "x")
    assert synced == ["f.tmp", elsewhere.name]
    shutil.rmtree(elsewhere)


def test_where_the_system_has_no_number_for_it_the_time_of_the_start_stands_for_it(monkeypatch, tmp_path):
    monkeypatch.setattr(intermediate, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setattr(intermediate.psutil, "boot_time", lambda: 1e9)
    intermediate._name.cache_clear()
    assert scratch_folder(tmp_path).name == "scratch-1000000000"
    intermediate._name.cache_clear()
