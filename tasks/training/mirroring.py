"""The newest checkpoint of a training under way, in the store that homes share: put there and taken from there."""

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from params.errors import StoreError
from tasks.artifacts.digest import commit
from tasks.artifacts.unfinished import ARRIVING, SNAPSHOT, UnfinishedWork
from tasks.training.job import newest_step

log = logging.getLogger(__name__)
_BESIDES = ("best/*.safetensors", "micro_blocks.json", "logs/*.jsonl")
"""What training goes on from besides its checkpoints: the best weights, what was probed, the curves."""


@contextmanager
def shared_training(work: UnfinishedWork, out: Path, *, every_s: float, made_by: dict[str, str]) -> Iterator[None]:
    """Begin with the checkpoint that another home has left in the store; while the block runs, put the newest one there
    at most every so many seconds.

    An interruption does not wait for a copy under way: it is not whole, and nobody uses it.
    """
    step = None if (out / "stop.json").exists() else take_over(work, out, made_by=made_by)
    if step is not None:
        log.info("%s: goes on from step %s, which another home has left in the store", out.parent.name, f"{step:,}")
    mirror = _Mirror(work, out, every_s, made_by)
    mirror.start()
    try:
        yield
    finally:
        mirror.ended.set()
    mirror.join()


def take_over(work: UnfinishedWork, out: Path, *, made_by: dict[str, str]) -> int | None:
    """Have the draft go on from the checkpoint that another home has left in the store; its step, or None.

    Nothing is taken that other code made, that is no newer than what is here, or that is damaged.
    """
    arrived = out.with_suffix(ARRIVING)
    shutil.rmtree(arrived, ignore_errors=True)
    try:
        found = work.find()
        if found is None or found.made_by != made_by or found.step <= (newest_step(out) or 0):
            return None
        work.fetch(found, arrived)
    except StoreError as error:
        shutil.rmtree(arrived, ignore_errors=True)
        log.warning("%s; training goes on from what is on this machine", error)
        return None
    besides = [path for pattern in _BESIDES for path in sorted(arrived.glob(pattern))]
    for path in (*besides, *sorted(arrived.glob("checkpoints/step-*"))):  # last, for they are what counts
        target = out / path.relative_to(arrived)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        commit(path, target)
    shutil.rmtree(arrived)
    return found.step


class _Mirror(threading.Thread):
    """Copies beside the training process, which notices nothing but the processor and network time."""

    def __init__(self, work: UnfinishedWork, out: Path, every_s: float, made_by: dict[str, str]) -> None:
        super().__init__(name="mirror", daemon=True)
        self.ended = threading.Event()
        self._work, self._out, self._every_s, self._made_by = work, out, every_s, made_by
        self._last_step: int | None = None
        self._is_away = False

    def run(self) -> None:
        """Copy until training has ended."""
        while not self.ended.wait(self._every_s):
            try:
                self._copy()
                self._is_away = False
            except (StoreError, OSError) as error:
                if not self._is_away:
                    log.warning("%s; training goes on, its checkpoints are on this machine alone for now", error)
                self._is_away = True

    def _copy(self) -> None:
        folder = self._out.with_suffix(SNAPSHOT)
        try:
            step = take_snapshot(self._out, folder)
            if step is None or step == self._last_step:
                return
            if self._work.put(folder, step=step, made_by=self._made_by):
                log.info("%s: the checkpoint of step %s is in the shared store", self._out.parent.name, f"{step:,}")
            self._last_step = step
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def take_snapshot(out: Path, folder: Path) -> int | None:
    """Have what training would go on from lie still in a folder; the step of the newest checkpoint, if there is one.

    Large files are linked: nobody writes into them, they are replaced or removed. The checkpoints come first, so that
    the curves and the best weights are never older.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for checkpoint in sorted(out.glob("checkpoints/step-*")):
        if checkpoint.suffix:  # one that is being written
            continue
        target = folder / checkpoint.relative_to(out)
        try:
            for path in sorted(checkpoint.iterdir()):
                _lay(path, target / path.name)
        except FileNotFoundError:  # rotated out meanwhile
            shutil.rmtree(target, ignore_errors=True)
    for path in (path for pattern in _BESIDES for path in out.glob(pattern)):
        with suppress(FileNotFoundError):
            _lay(path, folder / path.relative_to(out))
    return newest_step(folder)


def _lay(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        try:
            os.link(path, target)
            return
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
    shutil.copyfile(path, target)
