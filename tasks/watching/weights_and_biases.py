"""Weights & Biases: a run in files that `wandb sync` uploads, or online at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.watching.callbacks import Callback, Point
from tasks.watching.event_files import numbers_of

if TYPE_CHECKING:
    from wandb import Run

_STEP = "train/step"
"""The x axis: W&B's own step may never go back, but samples come after later points."""


class WeightsAndBiases(Callback):
    """Points as history, samples as a table, the report as summary."""

    def __init__(self, folder: Path, *, mode: Literal["offline", "online"], project: str, run_id: str) -> None:
        self._folder = folder
        self._mode: Literal["offline", "online"] = mode
        self._project = project
        self._run_id = run_id
        self._run: Run | None = None

    def on_start(self, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else its faults are reported over the network
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            x_disable_meta=True,
            disable_git=True,
            disable_code=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            dir=str(self._folder),
            mode=self._mode,
            project=self._project,
            id=self._run_id,
            name=self._run_id,
            config=dict(config),
            settings=quiet,
        )
        self._run.define_metric(_STEP)
        self._run.define_metric("train/*", step_metric=_STEP)

    def on_point(self, point: Point) -> None:
        values = {f"train/{name}": value for name, value in numbers_of(point).items()}
        self._begun.log({_STEP: int(point["step"]), **values})

    def on_samples(self, samples: Sequence[Point]) -> None:
        import wandb

        columns = ["step", "prompt", "kind", "text"]
        table = wandb.Table(
            columns=list[str | int](columns), data=[[sample[name] for name in columns] for sample in samples]
        )
        self._begun.log({_STEP: int(samples[0]["step"]), "train/samples": table})

    def on_end(self, verdict: str, report: Mapping[str, Any]) -> None:
        import wandb

        self._begun.summary.update({"verdict": verdict, **report})
        self._begun.finish(exit_code=0 if report else 1)
        wandb.teardown()  # an offline run's file is whole only when W&B's service, which writes it, has ended

    @property
    def _begun(self) -> "Run":
        assert self._run is not None, "on_start comes first"
        return self._run
