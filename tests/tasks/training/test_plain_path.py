"""Paths for a compiler's command line."""

import tempfile
from pathlib import Path

from tasks.training.plain_path import plain_path


def test_a_path_without_blanks_is_left_alone(tmp_path):
    assert plain_path(Path("/usr/lib")) == Path("/usr/lib")


def test_a_path_with_blanks_is_reached_through_a_link_without(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "我的 work"
    folder.mkdir()
    (folder / "file").write_text("here")
    link = plain_path(folder)
    assert " " not in str(link)
    assert (link / "file").read_text() == "here"
    assert plain_path(folder) == link


def test_a_temporary_folder_that_others_may_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "a b"
    folder.mkdir()
    plain_path(folder)
    next(tmp_path.glob("gristmill-*")).chmod(0o777)
    assert plain_path(folder) == folder
