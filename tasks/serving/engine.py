"""The thread that runs a model: other threads hand texts in and are told what each step made."""

import threading
from collections.abc import Callable, Sequence

from tasks.serving.batch import Batch, Emission, Job, Text

Deliver = Callable[[Sequence[tuple[Text, Emission]]], None]


class QueueFullError(Exception):
    """Too many texts wait already."""


class BrokenEngineError(Exception):
    """An earlier step failed."""


class Engine:
    """Runs a batch in a thread of its own until it is closed.

    `deliver` is called in that thread once a step with all that the step made. If a step raises, every text ends with
    the finish `error`, and the engine is broken: the process had better be started anew.
    """

    def __init__(self, batch: Batch, *, room: int, max_queue: int, deliver: Deliver) -> None:
        self.batch, self.room, self.max_queue, self.deliver = batch, room, max_queue, deliver
        self.changed = threading.Condition()
        self.arrived: list[Text] = []
        self.closing = False
        self.broken = False
        self.thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.thread.start()

    @property
    def num_waiting(self) -> int:
        """Texts that wait for a place in the batch."""
        return len(self.arrived) + len(self.batch.waiting)

    @property
    def num_active(self) -> int:
        """Texts under way."""
        return len(self.batch.active) + (self.batch.reading is not None)

    def submit(self, jobs: Sequence[Job]) -> list[Text]:
        """Hand texts in, all or none; raises QueueFullError if too many others wait."""
        with self.changed:
            if self.broken:
                raise BrokenEngineError
            free = max(0, self.batch.max_rows - self.num_active)
            if self.num_waiting + len(jobs) > self.max_queue + free:
                raise QueueFullError
            texts = [Text(job, room=self.room) for job in jobs]
            self.arrived += texts
            self.changed.notify()
        return texts

    def close(self) -> None:
        """End the thread once nothing is under way, and wait for it."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join()

    def _run(self) -> None:
        ended_well = False
        try:
            while self._wait_for_work():
                if emitted := self.batch.step():
                    self.deliver(emitted)
            ended_well = True
        finally:
            if not ended_well:
                self._give_up()

    def _give_up(self) -> None:
        with self.changed:
            self.broken = True
            lost = [*self.arrived, *self.batch.texts]
            self.arrived.clear()
        self.deliver([(text, Emission(finish="error")) for text in lost])

    def _wait_for_work(self) -> bool:
        """Take in what has arrived; False to end."""
        with self.changed:
            while not self.arrived and self.batch.is_idle:
                if self.closing:
                    return False
                self.changed.wait()
            self.batch.waiting.extend(self.arrived)
            self.arrived.clear()
        return True
