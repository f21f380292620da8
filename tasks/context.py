"""A run: the store it writes to, the machine it may use, and what it has made so far."""

import logging
import os
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from params.errors import DamagedError
from params.load import EXAMPLES
from params.pipeline import PipelineParams
from params.run import RunParams
from params.survey import SourceParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RUNS_FOLDER, RunRecord, StageRecord
from tasks.artifacts.store import Store
from tasks.engine import Engine, largest_first
from tasks.files.places import Root
from tasks.files.remote import RemoteRoot
from tasks.tracking import Tracker

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Made = TypeVar("Made")

_LOCAL = ("file://", "local://")
_SHIPPED = "gristmill-examples/"
"""How the path of a file begins that comes with the package."""


@dataclass(frozen=True)
class Planned:
    """What `explain` says of one stage."""

    stage: str
    fingerprint: str | None
    would_run: bool
    reasons: tuple[str, ...]


class Reached(Exception):  # noqa: N818 - no error
    """A run has come to the stage that it was to go to."""


class Run:
    """One pipeline run. With `plan` set nothing is made: stages only say whether they would run, and why."""

    def __init__(
        self,
        store: Store,
        settings: RunParams,
        record: RunRecord,
        *,
        roots: dict[str, Root] | None = None,
        tracker: Tracker | None = None,
        engine: Engine | None = None,
        plan: list[Planned] | None = None,
        until: str | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.record = record
        self.roots: dict[str, Root] = roots or {}
        self.tracker = tracker
        self.engine = engine
        self.plan = plan
        self.until = until
        """The last stage of this run; None for all of them."""
        self.training_slot: Callable[[], AbstractContextManager[None]] = nullcontext
        """What training is done in, so that two runs do not train at once."""
        self.is_addition = False
        """What is read now comes on top of other text: that none of it is fit to learn from is no error."""
        self.manifests: dict[str, Manifest] = {}
        self.task_runs: dict[str, UUID] = {}
        """Prefect's task run behind each result, by fingerprint, and behind the registration."""
        self.behind: dict[UUID, set[UUID]] = {}
        """The task runs that each of them stands on."""
        self.remake: dict[tuple[str, str], Callable[[], Manifest]] = {}
        """What gives each result of this run, by stage and fingerprint, and makes it where it is not whole."""
        self._progress: dict[str, UUID] = {}
        self._unseen: set[str] = set()
        """Stages whose progress Prefect could not take."""
        self.stage = ""
        """The stage under work."""

    @property
    def orders(self) -> Path:
        """File of what a person asks of this run while it works."""
        return orders_of(self.store, self.record)

    @property
    def workers(self) -> int:
        """Shards worked on at the same time."""
        return self.settings.workers or num_cores()

    def finish(self, manifest: Manifest, *, reused: bool, wall_s: float) -> None:
        """Note a stage's result in the run record and in MLflow."""
        self.manifests[manifest.stage] = manifest
        price = self.settings.price_per_hour
        self.update(self.record.with_stage(manifest, reused=reused, wall_s=wall_s, price_per_hour=price))
        if self.tracker is not None:
            self.tracker.log_stage(manifest, reused=reused)
            self.tracker.log_figures(usage_of(manifest.stage, self.record.stages[manifest.stage]))
        if self.store.shared is not None:
            self.store.shared.give(manifest, self.record)

    def mend(self, damage: DamagedError) -> None:
        """Make a result of this run anew whose files in the shared store are damaged, or say that it cannot be."""
        remake = self.remake.pop(damage.key, None)
        if remake is None:
            raise damage
        log.warning("%s: %s; it is made anew", damage.key[0], damage.problem)
        before = self.manifests[damage.key[0]]
        self.store.release(before.place)
        mended = remake()
        if mended.digest != before.digest:
            raise damage  # results that stand on other bytes are found only from the beginning of the chain
        if self.store.shared is not None:
            self.store.shared.give(mended, self.record)

    def reach(self, stage: str) -> None:
        """End the run here where it was to go no further than this stage. Raises Reached."""
        if stage == self.until:
            raise Reached(stage)

    def update(self, record: RunRecord) -> None:
        """Replace and save the run record."""
        self.record = record
        record.save(self.store.root)

    def show_progress(self, share: float) -> None:
        """How far the stage under work is, from 0 to 1, as a progress artifact of the flow run.

        Hours of training are worth more than its bar: without a Prefect server the stage goes on unseen, and says so.
        """
        if self.engine is None:
            return
        from httpx import TransportError

        try:
            self._draw_progress(round(100 * min(max(share, 0.0), 1.0), 1))
        except TransportError as error:
            if self.stage not in self._unseen:
                log.warning("%s goes on, but Prefect does not answer and shows no progress (%s)", self.stage, error)
            self._unseen.add(self.stage)

    def _draw_progress(self, percent: float) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if self.stage not in self._progress:
            key = f"progress-{self.stage.replace('.', '-').replace('_', '-')}"
            made = create_progress_artifact(percent, key=key, description=f"{self.stage} of {self.record.run_id}")
            self._progress[self.stage] = cast(UUID, made)
        else:
            update_progress_artifact(self._progress[self.stage], progress=percent)

    def map(self, unit: Callable[[Item], Made], items: Sequence[Item], *, name: str) -> list[Made]:
        """`unit` over items (shards, as a rule), results in item order; large files are begun first.

        Inside a flow, groups of items become Prefect tasks on the engine that the settings name, at most 256 of them
        however many items there are; elsewhere plain threads do the work. The unit may have to go to another process:
        it holds parameters, paths and what can be pickled, never the run.
        """
        if len(items) > 1 and self.engine is not None:
            return self.engine.map(unit, items, name=name)
        with ThreadPoolExecutor(self.workers) as pool:
            begun = {index: pool.submit(unit, items[index]) for index in largest_first(items)}
            try:
                return [begun[index].result() for index in range(len(items))]
            finally:
                for future in begun.values():
                    future.cancel()  # those that have not begun when one fails


def usage_of(stage: str, done: StageRecord) -> dict[str, float]:
    """What a stage took of this run's time and money, of processor and memory when it was made, and of the disk."""
    found = {"seconds": done.wall_s, **done.model_dump(include={"cpu_s", "peak_rss_mb", "disk_mb", "cost"})}
    return {f"usage/{stage}.{name}": value for name, value in found.items() if value is not None}


def orders_of(store: Store, record: RunRecord) -> Path:
    """File of what a person asks of a run while it works."""
    return store.root / RUNS_FOLDER / f"{record.run_id}.orders"


def roots_of(params: PipelineParams) -> dict[str, Root]:
    """Where each source lies, seen from this machine."""
    return {source.name: source_root(source) for source in params.survey.sources}


def source_root(source: SourceParams) -> Root:
    """The file or folder that a source's path stands for; a URL of another protocol than file:// is remote."""
    return root_of(source.path, source.storage_options)


def root_of(path: str, storage_options: Mapping[str, Any] = MappingProxyType({})) -> Root:
    """The file or folder that a path or URL of a parameter stands for."""
    if path == "python-environment":
        return Path(sysconfig.get_path("purelib"))
    if path.startswith(_SHIPPED):
        return EXAMPLES / path.removeprefix(_SHIPPED)
    if "://" in path and not path.startswith(_LOCAL):
        return RemoteRoot.of(path, storage_options)
    return local_path(path)


def local_path(path: str) -> Path:
    """A path of a parameter on this machine, also one written as file://."""
    plain = next((path.removeprefix(prefix) for prefix in _LOCAL if path.startswith(prefix)), path)
    return Path(plain).expanduser().absolute()


def num_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
