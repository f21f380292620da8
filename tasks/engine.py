"""Where the shards of a data stage are worked on: threads of this process, or processes of a Ray or Dask cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from params.run import RunParams
from tasks.artifacts.digest import write_atomic
from tasks.cluster.scratch import sweep_dead_folders
from tasks.cluster.starting import (
    check_engine,
    dask_arguments,
    errors_explained,
    quiet_cluster,
    ray_arguments,
    signals_kept,
)

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Made = TypeVar("Made")
Told = tuple[str, str]
"""Name of a logger and a warning that it was given."""

UNIT = ".unit"
"""Ending of a file with a unit of work, for other processes."""
_MAX_TASKS = 256
_TASKS_PER_PROCESS = 4
"""On a cluster of our own: a task costs a tenth of a second there, and a few each share the work out evenly."""


class _Group:
    """Items that make one task; no collection, for Prefect would look into every item for results to wait for."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items


class Engine:
    """Maps a unit of work over items inside a flow, as Prefect tasks on the task runner that the settings name.

    A cluster is started, or joined, by the first map, and left when the engine closes: a run that finds every result
    in the store starts none.
    """

    def __init__(self, settings: RunParams, *, num_workers: int, scratch: Path) -> None:
        self._settings = settings
        self._num_workers = num_workers
        self._scratch = scratch
        """Begin of the names of files for other processes; all of them must see its folder."""
        self._entered = ExitStack()
        self._runner: TaskRunner[Any] | None = None
        self._num_maps = 0

    def __enter__(self) -> Self:
        check_engine(self._settings)
        sweep_dead_folders()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered.close()

    def map(self, unit: Callable[[Item], Made], items: Sequence[Item], *, name: str) -> list[Made]:
        """`unit` over items in at most 256 tasks, results in item order; large files are begun first."""
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        groups = [_Group(part) for part in grouped(items, self._max_tasks)]
        with self._handed_over(unit) as work:
            mapped = task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)(work)
            with self._active(mapped):
                futures = {index: mapped.submit(groups[index]) for index in largest_first(groups)}
                done = [futures[index].result() for index in range(len(groups))]
        for origin, warning in dict.fromkeys(told for _, warnings in done for told in warnings):
            logging.getLogger(origin).warning("%s", warning)
        return [made for results, _ in done for made in results]

    @property
    def _max_tasks(self) -> int:
        is_own = self._settings.engine != "threads" and self._settings.engine_address is None
        return min(_MAX_TASKS, _TASKS_PER_PROCESS * self._num_workers) if is_own else _MAX_TASKS

    @contextmanager
    def _active(self, mapped: Any) -> Iterator[None]:
        """Let tasks go to our runner: which one it is is known only once the flow runs.

        Prefect sends the context along with each task: of the stage under work its id is enough.
        """
        from prefect.context import FlowRunContext, TaskRunContext

        context, stage = FlowRunContext.get(), TaskRunContext.get()
        assert context is not None, "an engine works inside a flow"
        if self._runner is None:
            self._runner = self._entered.enter_context(_task_runner(self._settings, self._num_workers))
        bare = stage.model_copy(update={"parameters": {}, "task": mapped}) if stage else nullcontext()
        with context.model_copy(update={"task_runner": self._runner}), bare:
            yield

    @contextmanager
    def _handed_over(self, unit: Callable[[Item], Made]) -> Iterator[Callable[[_Group], tuple[list[Made], list[Told]]]]:
        """The function that works on a group.

        For other processes the unit is written to a file, once for all tasks, so that a task is no more than a path
        and its items.
        """
        if self._settings.engine == "threads":
            yield lambda group: ([unit(item) for item in group.items], [])
            return
        import cloudpickle

        self._num_maps += 1
        path = self._scratch.with_name(f"{self._scratch.name}.{self._num_maps}{UNIT}")
        write_atomic(path, cloudpickle.dumps(unit))
        try:
            yield lambda group: work_elsewhere(path, group)
        finally:
            path.unlink(missing_ok=True)


def grouped(items: Sequence[Item], max_groups: int) -> list[Sequence[Item]]:
    """Neighbours together, in at most so many groups of about the same size."""
    size = -(-len(items) // max_groups)
    return [items[start : start + size] for start in range(0, len(items), size)]


def largest_first(items: Sequence[Any]) -> list[int]:
    """The order in which items are begun: a large file at the end would keep one worker busy and the others waiting."""
    sizes = [_size_of(item) for item in items]
    return sorted(range(len(items)), key=lambda index: -sizes[index])


def _size_of(item: Any) -> int:
    """Bytes of the files of an item; none for what is no file."""
    if isinstance(item, _Group):
        return sum(map(_size_of, item.items))
    return item.stat().st_size if isinstance(item, Path) and item.exists() else 0


def units_of(scratch: Path) -> Iterator[Path]:
    """Files that an engine with this scratch left when its process was killed."""
    return scratch.parent.glob(f"{scratch.name}.*{UNIT}*")


def work_elsewhere(path: Path, group: _Group) -> tuple[list[Any], list[Told]]:
    """The results of a group, in a process of a cluster, and what it has to warn of."""
    unit = _read_unit(str(path))
    with _warnings_kept() as told:
        return [unit(item) for item in group.items], told


@lru_cache(maxsize=1)
def _read_unit(path: str) -> Callable[[Any], Any]:
    import cloudpickle

    unit: Callable[[Any], Any] = cloudpickle.loads(Path(path).read_bytes())  # our own, written a moment ago
    return unit


@contextmanager
def _warnings_kept() -> Iterator[list[Told]]:
    """Warnings of the stages' libraries: nobody looks at the output of a cluster's process."""
    told: list[Told] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((record.name, record.getMessage()))

    ours, keeper = logging.getLogger("tasks"), Keeper(logging.WARNING)
    ours.addHandler(keeper)
    try:
        yield told
    finally:
        ours.removeHandler(keeper)


@contextmanager
def _task_runner(settings: RunParams, num_workers: int) -> "Iterator[TaskRunner[Any]]":
    """A started task runner for so many tasks at a time."""
    from prefect.task_runners import ThreadPoolTaskRunner

    if settings.engine == "threads":
        threads: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=num_workers)
        with threads:
            yield threads
        return
    address = settings.engine_address
    log.info("engine: %s", f"joins {settings.engine} at {address}" if address else f"starts {settings.engine}")
    with quiet_cluster() as folder, ExitStack() as entered:
        with signals_kept(), errors_explained(settings.engine):
            make = {"ray": _on_ray, "dask": _on_dask}[settings.engine]
            runner = entered.enter_context(make(address, num_workers, folder))
        yield runner


@contextmanager
def _on_ray(address: str | None, num_workers: int, folder: str) -> "Iterator[TaskRunner[Any]]":
    from prefect_ray import RayTaskRunner

    with RayTaskRunner(init_kwargs=ray_arguments(address, num_workers, folder)) as runner:
        yield runner


@contextmanager
def _on_dask(address: str | None, num_workers: int, folder: str) -> "Iterator[TaskRunner[Any]]":
    from prefect_dask.task_runners import DaskTaskRunner

    local = None if address else dask_arguments(num_workers, folder)
    with DaskTaskRunner(address=address, cluster_kwargs=local) as runner:
        assert runner.client is not None  # asking for it starts the cluster
        yield runner
