"""A small process that outlives a run's: should that be killed, it tells people so at once.

`python -m flows.guard HOME RUN_ID LOCK MODEL NOTIFY`, NOTIFY being NotifyParams as JSON. It waits for the kernel's lock
that the run holds as long as it lives, and imports nothing before it gets it.
"""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.home import Home
    from params.notify import NotifyParams
    from tasks.artifacts.record import RunRecord


@contextmanager
def guarded(params: "NotifyParams", record: "RunRecord", home: "Home", *, lock: Path, model: str) -> Iterator[None]:
    """Have a guard beside the block, which holds the lock and has saved the record; without channels there is none."""
    if not params.has_channels:
        yield
        return
    guard = _spawn([str(home.root), record.run_id, str(lock), model, params.model_dump_json()])
    try:
        yield
    finally:
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)


def told_marker(lock: Path) -> Path:
    """The file that says that people know of this run's death."""
    return lock.with_suffix(".told")


def main(root: str, run_id: str, lock: str, model: str, notify: str) -> None:
    """Wait for the run's end; tell of it if the run could not."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(handle, fcntl.LOCK_EX)  # sleeps in the kernel until the run's process is gone
    saved = Path(root) / "store" / "runs" / f"{run_id}.json"
    if not saved.exists() or json.loads(saved.read_bytes())["status"] != "running":
        return
    _tell(Path(root), saved, model, notify)
    told_marker(Path(lock)).touch()
    os.close(handle)


def _tell(root: Path, saved: Path, model: str, notify: str) -> None:
    import logging

    from flows.console import LOG_FILE
    from flows.endings import announce_death
    from flows.home import open_home
    from params.notify import NotifyParams
    from tasks.artifacts.record import RunRecord

    home = open_home(root)
    logging.basicConfig(
        filename=home.logs / LOG_FILE,
        level=logging.INFO,
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
    )
    record = RunRecord.model_validate_json(saved.read_text(encoding="utf-8"))
    announce_death(NotifyParams.model_validate_json(notify), record, home, model=model)


def _spawn(arguments: list[str]) -> int:
    """In a session of its own: what ends the run's process group must not end its guard."""
    quiet = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    quiet += [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    command = [sys.executable, "-P", "-m", "flows.guard", *arguments]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet, setsid=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
