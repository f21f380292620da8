"""What a run takes from a shared store and gives to it; where that is gone, the run goes on with what is here."""

import logging

from params.errors import StoreError
from tasks.artifacts.manifest import Manifest, Recipe
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import Key, RemoteStore
from tasks.artifacts.unfinished import UnfinishedWork

log = logging.getLogger(__name__)


class Sharing:
    """The shared store of one run."""

    def __init__(self, store: RemoteStore) -> None:
        self.store = store
        self._waiting: list[Manifest] = []
        """Results that are not there yet."""
        self._begun: dict[Key, UnfinishedWork] = {}
        """What this run has under way there."""
        self._record: RunRecord | None = None
        self._is_gone = False

    def find(self, recipe: Recipe) -> Manifest | None:
        """A result that is there."""
        if self._is_gone:
            return None
        try:
            return self.store.find(recipe.stage, recipe.fingerprint)
        except StoreError as error:
            self._give_up(error)
            return None

    def unfinished(self, stage: str, fingerprint: str) -> UnfinishedWork:
        """The work under way on a result, which is forgotten once the result is there."""
        return self._begun.setdefault((stage, fingerprint), self.store.unfinished(stage, fingerprint))

    def give(self, manifest: Manifest, record: RunRecord) -> None:
        """Write a result there, and the record of the run that stands on it, unless they are there."""
        self._waiting.append(manifest)
        self._record = record
        if not self._is_gone:
            self._push()

    def finish(self, record: RunRecord) -> str | None:
        """Write what could not be written before, and the record; what still could not be, if anything."""
        self._record = record
        self._push()
        if not self._is_gone:
            return None
        stages = ", ".join(manifest.stage for manifest in self._waiting) or "the record of the run"
        left = f"not in {self.store.url} yet: {stages}; the same command writes it there once the store answers"
        log.warning("%s", left)
        return left

    def _push(self) -> None:
        try:
            while self._waiting:
                if self.store.push(self._waiting[0]):
                    log.info("%s: written to %s", self._waiting[0].stage, self.store.url)
                done = self._waiting.pop(0)
                if (work := self._begun.pop((done.stage, done.fingerprint), None)) is not None:
                    work.remove()
            if self._record is not None:
                self.store.put_record(self._record.run_id, self._record.model_dump_json(indent=1))
            self._is_gone = False
        except StoreError as error:
            self._give_up(error)

    def _give_up(self, error: StoreError) -> None:
        if not self._is_gone:
            log.warning("%s; the run goes on with what is on this machine, nothing is lost", error)
        self._is_gone = True
