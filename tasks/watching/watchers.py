"""All watchers of a training run, fed with its points by the process that follows it."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from params.errors import ParameterError
from params.watch import WatchParams
from tasks.watching.callbacks import Point, load_callbacks
from tasks.watching.containment import Contained

log = logging.getLogger(__name__)


class Watchers:
    """Hands each value of each point to every watcher once; one that fails is named, turned off and left alone."""

    def __init__(self, watchers: Sequence[tuple[str, object]], config: Mapping[str, Any], *, samples: Path) -> None:
        self._watchers = dict(watchers)
        self._samples = samples
        self._shown: dict[str, int] = {}
        self._shown_samples = -1
        self._ended = False
        self._tell("on_start", config)

    @classmethod
    def from_params(
        cls, params: WatchParams, *, folder: Path, project: str, run_id: str, samples: Path, config: Mapping[str, Any]
    ) -> Self:
        """The watchers that the parameters name, begun.

        Their files go under `folder`, under the run's id, so that another attempt, whose points come from the first
        on, gets files of its own. `samples` is the file that training appends samples to. Raises ParameterError for
        a missing package or entry point.
        """
        watchers: list[tuple[str, object]] = []
        if params.tensorboard:
            need("tensorboard", "run.watch.tensorboard")
            from tasks.watching.event_files import EventFiles

            watchers.append(("tensorboard", EventFiles(folder / "tensorboard" / run_id)))
        if params.wandb is not None:
            need("wandb", "run.watch.wandb")
            from tasks.watching.weights_and_biases import WeightsAndBiases

            made = WeightsAndBiases(folder, mode=params.wandb, project=project, run_id=run_id)
            watchers.append(("wandb", made))
        return cls([*watchers, *load_callbacks(params.callbacks)], {"run_id": run_id, **config}, samples=samples)

    def show(self, points: Sequence[Point]) -> None:
        """New points of the curves, and what samples there are meanwhile."""
        for point in points:
            if fresh := self._fresh(point):
                self._tell("on_point", fresh)
                if "val_loss" in fresh:
                    self._tell("on_evaluation", fresh)
        for samples in self._new_samples():
            self._tell("on_samples", samples)

    def end(self, report: Mapping[str, Any]) -> None:
        """Training has ended with this report (stop.json)."""
        self._end(str(report["verdict"]), report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End what the report did not."""
        if not self._ended:
            self._end("failed" if kind is not None and issubclass(kind, Exception) else "interrupted", {})

    def _end(self, verdict: str, report: Mapping[str, Any]) -> None:
        self._ended = True
        self._tell("on_end", verdict, report)

    def _tell(self, event: str, *arguments: Any) -> None:
        for name, watcher in list(self._watchers.items()):
            method = getattr(watcher, event, None)
            if method is None:
                continue
            with Contained(log, f"{name} failed in {event} and is turned off; training goes on") as contained:
                method(*arguments)
            if contained.failed:
                del self._watchers[name]

    def _fresh(self, point: Point) -> dict[str, Any]:
        """The values of a point that were not shown yet: a curve that was cut back on resume comes by again."""
        step = int(point["step"])
        new = {name: value for name, value in point.items() if name != "step" and self._shown.get(name, -1) < step}
        self._shown |= dict.fromkeys(new, step)
        kept = {"step": step, **new}
        return kept if set(new) - {"time_ms"} else {}

    def _new_samples(self) -> Iterator[list[dict[str, Any]]]:
        """Samples not shown yet, those of each step together; a line under way is left for the next time."""
        if not self._watchers or not self._samples.exists():
            return
        lines = self._samples.read_text(encoding="utf-8").splitlines(keepends=True)
        samples = [json.loads(line) for line in lines if line.endswith("\n")]
        for step, group in groupby(samples, key=lambda sample: int(sample["step"])):
            if step > self._shown_samples:
                self._shown_samples = step
                yield list(group)


def need(package: str, setting: str) -> None:
    """Raise ParameterError where an optional package is not installed."""
    if find_spec(package) is None:
        raise ParameterError(f"{setting} needs the package {package}: pip install 'gristmill[{package}]'")
