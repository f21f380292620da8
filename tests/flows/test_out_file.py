"""Files named with --out, as gristmill schema writes them."""

import json
import os
import resource
from pathlib import Path

import pytest

from flows.cli import main
from flows.out_file import check_out, write_out
from params.errors import ParameterError
from params.schema import preset_schema


def test_the_schema_is_written_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "s.json"
    assert main(["schema", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == preset_schema()
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing/s.json", "cannot be written (No such file or directory); name another file"), (".", "is a folder")],
)
def test_a_place_that_cannot_be_written_is_the_users_error(
    name: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["schema", "--out", str(tmp_path / name)]) == 2
    assert f"--out {tmp_path / name}: {problem}" in capsys.readouterr().err


def test_asking_whether_a_file_can_be_written_leaves_nothing(tmp_path: Path):
    check_out(tmp_path / "s.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_finds_no_room_is_not_there_in_part(tmp_path: Path):
    (tmp_path / "old.json").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        for name in ("old.json", "new.json"):
            with pytest.raises(ParameterError, match=r"cannot be written \(File too large\)"):
                write_out(tmp_path / name, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path):
    target, link, pipe = (tmp_path / name for name in ("target.json", "link.json", "pipe"))
    link.symlink_to(target)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for out in (link, pipe):
        check_out(out)
        write_out(out, "text")
    assert (link.is_symlink(), target.read_text()) == (True, "text")
    assert (pipe.is_fifo(), os.read(reader, 10)) == (True, b"text")
    os.close(reader)
