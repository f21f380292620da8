"""A lock that the operating system releases when its holder dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.2


@contextmanager
def locked(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold `path` exclusively; when another process holds it, call `on_wait(holder)` once and wait for it.

    The lock is the kernel's (flock), so a process killed at any instant lets go of it. Waiting polls, so that a
    signal (a cancel, Ctrl-C) is served at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        waited = False
        while not try_lock(handle):
            if not waited and on_wait is not None:
                on_wait(os.pread(handle, 200, 0).decode(errors="replace") or "another process")
            waited = True
            time.sleep(_POLL_S)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def lock_for_life(path: Path) -> None:
    """Hold `path`, which nobody else knows of yet, exclusively until this process ends, whatever ends it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(handle, fcntl.LOCK_EX)


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Hold `path` exclusively if nobody else holds it now; whether that was so."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield try_lock(handle)
    finally:
        os.close(handle)


def lock_shared(path: Path) -> int:
    """Hold `path` together with others, none of them exclusively; the open file, whose closing lets go."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    while not try_lock(handle, shared=True):
        time.sleep(_POLL_S)
    return handle


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file without waiting; whether it was free."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock now."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)
