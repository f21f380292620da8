"""A child that ends when its parent dies, so that a killed run leaves no orphan."""

import ctypes
import os
import signal
import sys
import threading
import time

PARENT = "GRISTMILL_PARENT"
"""In a child's environment: the process that starts it, which may be gone before the child can ask who that was."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def named_parent() -> dict[str, str]:
    """What this process adds to the environment of a child that is to end with it."""
    return {PARENT: str(os.getpid())}


def die_with_parent(parent: int | None = None, how: signal.Signals = signal.SIGKILL) -> None:
    """End this process when its parent dies, or now where it is dead; elsewhere than on Linux a thread watches.

    The parent is the one that is given, or that named itself in the environment, or else the present one.
    """
    named = os.environ.pop(PARENT, None)  # our own children have another parent
    if parent is None:
        parent = int(named or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)
        return
    threading.Thread(target=_watch, args=(parent, how), daemon=True).start()


def _watch(parent: int, how: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), how)
