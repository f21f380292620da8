"""Callbacks: what TensorBoard, Weights & Biases and code of users are to training."""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from params.errors import ParameterError

GROUP = "gristmill.callbacks"
Point = Mapping[str, Any]


class Callback:
    """What may be told of a training run, in the process beside it; to be derived from, or only imitated.

    An entry point of the group gristmill.callbacks names a class (or a function that returns such an object), which is
    called without arguments. A method that an object lacks is not called. Nothing here can slow training down or
    change its bytes; an exception is logged and turns the callback off.
    """

    def on_start(self, config: Mapping[str, Any]) -> None:
        """Before the first point: the run's id, its folder and the parameters of training."""

    def on_point(self, point: Point) -> None:
        """A point of the curves: `step`, and numbers by name; each value once, also when training was resumed."""

    def on_evaluation(self, point: Point) -> None:
        """After on_point, for a point that has val_loss."""

    def on_samples(self, samples: Sequence[Point]) -> None:
        """Texts written at an evaluation: step, prompt, kind (greedy or drawn), text."""

    def on_end(self, verdict: str, report: Mapping[str, Any]) -> None:
        """Training's verdict, or failed or interrupted; the report is empty where training left none."""


def load_callbacks(names: Sequence[str]) -> list[tuple[str, object]]:
    """The named entry points, made. Raises ParameterError for one that is not installed or cannot be made."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    for name in names:
        if name not in installed:
            there = f"installed are {', '.join(sorted(installed))}" if installed else "none is installed"
            raise ParameterError(f"run.watch.callbacks: no entry point {name!r} in the group {GROUP}; {there}")
    return [(name, _made(installed[name])) for name in names]


def _made(point: EntryPoint) -> object:
    try:
        return point.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise ParameterError(
            f"run.watch.callbacks: {point.name} ({point.value}) cannot be made: {error}; it must name a class or "
            "function that takes no arguments"
        ) from error
