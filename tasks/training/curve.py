"""The recorded curves of a run: one JSON object a line, cut back to the checkpoint on resume."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.artifacts.digest import write_atomic

_TIMES = ("time_ms", "data_s", "step_s", "eval_s", "save_s", "elapsed_s", "left_s")
_TIMED = frozenset((*_TIMES, "tokens_per_s", "share_of_peak", "event", "spike"))
"""What the machine's speed or a person decides, and what is said of an update that was left out."""


class CurveFile:
    """Appends points {"step": int, name: value, …}; only the first rank writes."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self._writes = writes

    def add(self, point: Mapping[str, Any]) -> None:
        """Append a point."""
        if self._writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(point) + "\n")

    def flush(self) -> None:
        """Put what was written onto the disk, so that a checkpoint never knows more than the curve."""
        if self.path.exists():
            write_atomic(self.path, self.path.read_bytes())

    def cut(self, step: int) -> None:
        """Drop the points after a step, and a last line that was not finished."""
        if not self._writes:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(point) + "\n" for point in read_points(self.path) if point["step"] <= step]
        write_atomic(self.path, "".join(kept))


def read_points(path: Path) -> Iterator[dict[str, Any]]:
    """The points of a curve file; an unfinished last line is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def untimed(points: Iterable[dict[str, Any]]) -> str:
    """The part of the curves that does not depend on the machine's speed, as JSON lines."""
    kept = ({key: value for key, value in point.items() if key not in _TIMED} for point in points)
    return "".join(json.dumps(point) + "\n" for point in kept if len(point) > 1)
