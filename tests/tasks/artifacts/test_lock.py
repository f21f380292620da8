"""Locks that the kernel lets go of."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.artifacts.lock import is_locked, lock_if_free, lock_shared, locked, try_lock

HOLD = """
import sys
from pathlib import Path
from tasks.artifacts.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds tmp_path/lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_held_elsewhere_is_seen(tmp_path: Path, holder):
    assert is_locked(tmp_path / "lock")
    with lock_if_free(tmp_path / "lock") as free:
        assert not free


def test_who_waits_is_told_the_holder_and_gets_the_lock_when_it_ends(tmp_path: Path, holder):
    told = []

    def on_wait(who: str) -> None:
        told.append(who)
        holder.stdin.close()

    with locked(tmp_path / "lock", on_wait):
        assert told == [f"process {holder.pid}"]
        assert (tmp_path / "lock").read_text() == f"process {os.getpid()}"
    assert holder.wait() == 0


def test_a_holder_killed_at_once_lets_go(tmp_path: Path, holder):
    with locked(tmp_path / "lock", lambda who: os.kill(holder.pid, signal.SIGKILL)):
        assert holder.wait() == -signal.SIGKILL


def test_a_free_or_missing_lock_is_not_locked(tmp_path: Path):
    assert not is_locked(tmp_path / "missing")
    with locked(tmp_path / "folder" / "lock"):
        assert is_locked(tmp_path / "folder" / "lock")
    assert not is_locked(tmp_path / "folder" / "lock")


def test_shared_holders_do_not_exclude_each_other_but_exclude_an_exclusive_one(tmp_path: Path):
    first, second = lock_shared(tmp_path / "lock"), lock_shared(tmp_path / "lock")
    with lock_if_free(tmp_path / "lock") as free:
        assert not free
    os.close(first)
    assert is_locked(tmp_path / "lock")
    os.close(second)
    assert not is_locked(tmp_path / "lock")


def test_try_lock_says_whether_the_lock_was_free(tmp_path: Path):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert try_lock(first)
    assert not try_lock(second)
    assert not try_lock(second, shared=True)
    os.close(first)
    assert try_lock(second)
    os.close(second)
