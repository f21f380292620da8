"""The home folder and the environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.home import Home, environment, full_disk_explained, locate_home
from params.errors import ParameterError, StoreError


def test_a_path_goes_before_the_environment_and_that_before_the_current_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_home(Path("given"), {"GRISTMILL_HOME": "set"}).root == tmp_path / "given"
    assert locate_home(None, {"GRISTMILL_HOME": "set"}).root == tmp_path / "set"
    assert locate_home(None, {}).root == tmp_path / ".gristmill"
    assert locate_home(None, {"GRISTMILL_HOME": ""}).root == tmp_path / ".gristmill"


def test_locating_a_home_makes_nothing(tmp_path: Path):
    locate_home(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("character", ["?", "#"])
def test_a_path_that_no_database_uri_can_hold_is_refused_with_the_remedy(tmp_path: Path, character: str):
    with pytest.raises(ParameterError, match=r"cannot hold . or .; choose another folder with --home"):
        locate_home(tmp_path / f"a{character}b")


def test_mlflow_gets_the_path_as_it_is(tmp_path: Path):
    home = locate_home(tmp_path / "我的 work")
    assert home.mlflow_uri == f"sqlite:///{tmp_path}/我的 work/mlflow.db"


def test_nobody_is_told_of_a_run(tmp_path: Path):
    settings = environment(locate_home(tmp_path))
    assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert settings["DO_NOT_TRACK"] == "true"
    assert settings["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert settings["HF_HUB_OFFLINE"] == "1"


def test_everything_written_stays_in_the_home(tmp_path: Path):
    settings = environment(locate_home(tmp_path))
    for name in ("PREFECT_HOME", "HF_HOME", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
        assert Path(settings[name]).is_relative_to(tmp_path)


def test_what_the_user_has_set_is_left_alone(tmp_path: Path):
    show = (
        "import os, sys; from pathlib import Path; from flows.home import open_home; open_home(Path(sys.argv[1]))\n"
        "print(os.environ['MLFLOW_TRACKING_URI'], os.environ['HF_HUB_OFFLINE'], os.environ['GRISTMILL_HOME'])"
    )
    command = [sys.executable, "-c", show, str(tmp_path / "home")]
    env = {"PATH": "", "MLFLOW_TRACKING_URI": "http://team:5000", "HF_HUB_OFFLINE": "0"}
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert shown == f"http://team:5000 0 {tmp_path}/home\n"
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["cache", "logs", "prefect", "store"]


def test_mlflow_gives_up_on_a_server_that_is_gone_within_a_minute_and_prints_no_links(tmp_path, monkeypatch):
    from mlflow import environment_variables as known

    for name, value in environment(Home(tmp_path)).items():
        monkeypatch.setenv(name, value)
    factor, retries = known.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get(), known.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    assert 20 < sum(factor * 2**number for number in range(retries)) < 60  # urllib3: factor * 2 ** retries so far
    assert known.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get() is True


def test_a_stage_that_has_named_the_full_disk_keeps_the_word_when_prefect_fails_on_it_too(small_disk: Path):
    (small_disk / "filler").write_bytes(bytes(60_000))
    with pytest.raises(StoreError, match="clean: no space left in the store"), full_disk_explained(Home(small_disk)):
        fail_twice()


def fail_twice() -> None:
    """As a flow does whose stage has failed: its end cannot be written either."""
    try:
        raise StoreError.no_space("the store", during="clean")
    finally:
        raise OSError("database or disk is full")


def test_an_error_on_a_full_disk_names_that_disk(small_disk: Path):
    (small_disk / "filler").write_bytes(bytes(60_000))
    with (
        pytest.raises(StoreError, match=rf"disk at {small_disk}: 0\.0 MB of 0\.1 MB"),
        full_disk_explained(Home(small_disk)),
    ):
        raise OSError("database or disk is full")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 kB of disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
