"""The bridge from a stage's work to Prefect, the store and the run: `@stage` makes a sealed, reusable, tracked step."""

import errno
import inspect
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any
from uuid import UUID

from params.base import Params
from params.errors import DamagedError, StoreError
from tasks.artifacts.explain import reasons_to_run
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing, recipe_of
from tasks.artifacts.memory import PeakMemory, release_memory
from tasks.artifacts.space import full_disk
from tasks.context import Planned, Run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

log = logging.getLogger(__name__)
Identity = Callable[..., Params]
After = Callable[..., None]


class Stage:
    """A step of the pipeline: called with parameters and input results, it returns its own sealed result."""

    def __init__(
        self,
        work: Callable[..., Metrics],
        *,
        version: int,
        volatile: tuple[str, ...],
        identity: Identity | None,
        after: After | None = None,
        name: str | None = None,
    ) -> None:
        self.work = work
        self.name = name or work.__name__
        self.version = version
        self.volatile = volatile
        self.identity = identity
        self.after = after
        self.__doc__ = work.__doc__
        positional = [p for p in inspect.signature(work).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
        self.input_names = [p.name for p in positional]
        self._num_required = sum(p.default is p.empty for p in positional)
        rest = (p.name for p in inspect.signature(work).parameters.values() if p.kind is p.VAR_POSITIONAL)
        self._rest = next(rest, None)
        """Name of inputs of which there may be any number."""

    def __reduce__(self) -> tuple[Callable[[str, str, str], "Stage"], tuple[str, str, str]]:
        """Pickled as its place: a flow goes along with each of its tasks to the processes of a cluster."""
        return _stage_at, (self.work.__module__, self.work.__name__, self.name)

    def named(self, part: str) -> "Stage":
        """The same work as a step of its own, called train.PART for example: for what a pipeline does several times."""
        return Stage(
            self.work,
            version=self.version,
            volatile=self.volatile,
            identity=self.identity,
            after=self.after,
            name=f"{self.name}.{part}",
        )

    def __call__(self, params: Params, *inputs: Manifest, run: Run) -> Manifest:
        """The sealed result for these parameters and inputs, made now unless the store has it.

        In a planning run nothing is made, and a result that is not stored comes back as pending.
        """
        if run.plan is not None:
            return self._plan(params, inputs, run.plan, run)
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        as_task = task(name=self.name, task_run_name=self.name, cache_policy=NO_CACHE, persist_result=False)(self._run)
        as_task(params, *inputs, run=run, wait_for=upstream(inputs, run))
        run.reach(self.name)
        return run.manifests[self.name]

    def recipe(self, params: Params, inputs: tuple[Manifest, ...], run: Run) -> Recipe:
        """What decides the bytes of the result."""
        names = list(self.input_names)
        if self._rest is not None:
            names += [f"{self._rest}.{number}" for number in range(len(inputs) - len(names))]
        assert self._num_required <= len(inputs) <= len(names), f"{self.name} takes {names}"
        identity = self.identity(params, run, *inputs) if self.identity else params
        return recipe_of(self.name, self.version, identity, dict(zip(names, inputs, strict=False)))

    def is_stored(self, params: Params, *inputs: Manifest, run: Run) -> bool:
        """Whether the store has the result for these parameters and inputs."""
        return self._stored(self.recipe(params, inputs, run), run) is not None

    def _run(self, params: Params, *inputs: Manifest, run: Run) -> "State[Any]":
        """The task's state, which says whether the result was reused; the result itself is in run.manifests."""
        from prefect.runtime import task_run
        from prefect.states import Completed

        with _disk_errors_explained(self.name, inputs, run):
            while True:
                try:
                    manifest, reused = self._finished(params, inputs, run)
                    break
                except DamagedError as damage:
                    run.mend(damage)
            if self.after is not None:
                self.after(params, *inputs, manifest, run=run)
            run.remake[manifest.stage, manifest.fingerprint] = lambda: self._held(params, inputs, run)[0]
        if task_run.id is not None:
            made = run.task_runs[manifest.fingerprint] = UUID(task_run.id)
            ahead = {run.task_runs[one.fingerprint] for one in inputs if one.fingerprint in run.task_runs}
            run.behind[made] = ahead.union(*(run.behind[one] for one in ahead))
        return Completed(name="Reused" if reused else "Completed", message=manifest.fingerprint)

    def _finished(self, params: Params, inputs: tuple[Manifest, ...], run: Run) -> tuple[Manifest, bool]:
        """The result, told of and written down; whether it was there already."""
        started = time.monotonic()
        manifest, reused = self._held(params, inputs, run)
        wall_s = time.monotonic() - started
        log.info("%s", summary(manifest, reused=reused, wall_s=wall_s))
        run.finish(manifest, reused=reused, wall_s=wall_s)
        return manifest, reused

    def _held(self, params: Params, inputs: tuple[Manifest, ...], run: Run) -> tuple[Manifest, bool]:
        """The result, which nobody removes before the run ends; whether it was there already."""
        manifest, reused = self._find_or_make(params, inputs, run)
        while not run.store.hold(manifest):  # removed since by gc
            manifest, reused = self._find_or_make(params, inputs, run)
        return manifest, reused

    def _find_or_make(self, params: Params, inputs: tuple[Manifest, ...], run: Run) -> tuple[Manifest, bool]:
        recipe = self.recipe(params, inputs, run)
        if found := self._stored(recipe, run):
            return found, True
        with run.store.lock(recipe, on_wait=self._say_waiting):
            if found := self._stored(recipe, run):
                return found, True
            if run.store.discard(recipe):
                log.warning("%s: its stored result was damaged and is made anew", self.name)
            if found := run.store.adopt(recipe):
                return found, True
            return self._make(recipe, params, inputs, run), False

    def _stored(self, recipe: Recipe, run: Run) -> Manifest | None:
        found = run.store.find(self.name, recipe.fingerprint)
        return found if found is not None and run.store.is_complete(found) else None

    def _make(self, recipe: Recipe, params: Params, inputs: tuple[Manifest, ...], run: Run) -> Manifest:
        log.info("%s: starts", self.name, extra={"begins": self.name})
        began, started_at, memory, cpu_before = time.monotonic(), datetime.now(UTC), PeakMemory(), _cpu_s()
        draft = run.store.draft(recipe, made_by())
        run.stage = self.name
        metrics = self.work(params, *inputs, out=draft, run=run)
        work_s = time.monotonic() - began
        timing = Timing(
            started_at=started_at.isoformat(timespec="seconds"),
            work_s=round(work_s, 3),
            cpu_s=round(_cpu_s() - cpu_before, 3),
            peak_rss_mb=round(max(memory.read_mb(), metrics.values.get("peak_rss_mb", 0.0)), 1),
        )
        release_memory()
        return run.store.seal(recipe, draft, metrics, timing=timing, made_by=made_by(), volatile=self.volatile)

    def _plan(self, params: Params, inputs: tuple[Manifest, ...], plan: list[Planned], run: Run) -> Manifest:
        if waiting := [manifest.stage for manifest in inputs if manifest.is_pending]:
            reason = f"after {', '.join(waiting)}: reused if they make the same bytes as before"
            plan.append(Planned(self.name, None, True, (reason,)))
            return Manifest.pending(self.name)
        recipe = self.recipe(params, inputs, run)
        found = run.store.find(self.name, recipe.fingerprint) or run.store.look_elsewhere(recipe)
        reasons = () if found else reasons_to_run(recipe, run.store, run.record.preset)
        plan.append(Planned(self.name, recipe.fingerprint, found is None, reasons))
        return found or Manifest.pending(self.name)

    def _say_waiting(self, holder: str) -> None:
        log.info("%s: %s is making the same result; waiting for it", self.name, holder)


def stage(
    *,
    version: int,
    volatile: tuple[str, ...] = ("logs/*",),
    identity: Identity | None = None,
    after: After | None = None,
) -> Callable[[Callable[..., Metrics]], Stage]:
    """Make `work(params, *inputs: Manifest, out: Path, run: Run) -> Metrics` a stage of the pipeline.

    `version` is raised by hand when the code begins to make other bytes; `volatile` names files (glob patterns) that
    are no part of the digest, as they depend on the machine's speed or no later stage reads them;
    `identity(params, run, *inputs)` replaces the parameters in the recipe where they do not say what decides the bytes
    (paths stand for the files found there); `after(params, *inputs, result, run=run)` is called whenever a run has the
    sealed result, for what has to follow it even in a run that ends there.
    """
    return lambda work: Stage(work, version=version, volatile=volatile, identity=identity, after=after)


def _stage_at(module: str, work: str, name: str) -> Stage:
    found: Stage = getattr(import_module(module), work)
    part = name.removeprefix(work).removeprefix(".")
    return found.named(part) if part else found


def upstream(inputs: Sequence[Manifest], run: Run) -> "list[State[Any]]":
    """The finished tasks of this run that made the inputs: Prefect draws its graph by what a task waited for.

    A task that another of them stands on is left out, for a release stands on nearly all stages.
    """
    from prefect.client.schemas.objects import StateDetails
    from prefect.states import Completed

    made = {run.task_runs[manifest.fingerprint] for manifest in inputs if manifest.fingerprint in run.task_runs}
    nearest = made.difference(*(run.behind[one] for one in made))
    return [Completed(data=True, state_details=StateDetails(task_run_id=one)) for one in sorted(nearest)]


def _cpu_s() -> float:
    """Processor time of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def made_by() -> dict[str, str]:
    """Versions and platform, for the manifest."""
    return {
        "gristmill": installed_version("gristmill"),
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
    }


def summary(manifest: Manifest, *, reused: bool, wall_s: float) -> str:
    """One line about a finished stage: what it counted, and how fast."""
    said = headline(manifest)
    end = f"reused {manifest.fingerprint[:8]}" if reused else f"{wall_s:.1f} s, {rate(manifest)}".rstrip(", ")
    return f"{manifest.stage}: {'; '.join(part for part in (said, end) if part)}"


def headline(manifest: Manifest) -> str:
    """What a stage made: in its author's words, else its first counts."""
    counts = list(manifest.metrics.counts.items())
    return manifest.metrics.headline or ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts[:3])


def rate(manifest: Manifest) -> str:
    """How fast a stage worked when it made its result; nothing where the author named no unit."""
    if manifest.metrics.speed is None or manifest.timing.work_s <= 0:
        return ""
    amount, unit = manifest.metrics.speed
    per_second = amount / manifest.timing.work_s
    return f"{per_second:,.0f} {unit}/s" if per_second >= 10 else f"{per_second:.1f} {unit}/s"


@contextmanager
def _disk_errors_explained(name: str, inputs: tuple[Manifest, ...], run: Run) -> Iterator[None]:
    """What is missing is told by what the stage reads: most results are about as large as what they are made from."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            wanted = sum(file.size_bytes for made in inputs for file in made.files)
            raise full_disk(run.store.root, during=name, wanted_bytes=wanted) from None
        if error.errno in (errno.EACCES, errno.EROFS):
            raise StoreError.no_permission(error.filename or run.store.root, during=name) from None
        raise
