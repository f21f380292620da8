"""Size against quality against decode speed: the choice among variants, and the plot of all of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tasks.artifacts.digest import write_atomic

PLOT, FIGURES = "sweep.png", "sweep.json"


@dataclass(frozen=True)
class Point:
    """A variant in the sweep."""

    size_bytes: int
    loss_increase: float
    """Nats per token (per text where that is labelled) over the float32 graph."""
    per_s: float
    """Tokens decoded, or texts labelled, in a second."""
    is_kept: bool


def pick(points: Mapping[str, Point], by: Literal["smallest", "fastest"]) -> str:
    """The best variant of those kept; of equals the one that loses less."""
    kept = {name: point for name, point in points.items() if point.is_kept}

    def rank(name: str) -> tuple[float, float]:
        point = kept[name]
        return (point.size_bytes if by == "smallest" else -point.per_s, point.loss_increase)

    return min(kept, key=rank)


def save_sweep(points: Mapping[str, Point], folder: Path, *, picked: str, unit: str = "tokens") -> None:
    """Write the figures and the plot; `unit` is what the speed counts."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {name: asdict(point) | {"picked": name == picked} for name, point in points.items()}
    write_atomic(folder / FIGURES, json.dumps(figures, indent=1) + "\n")
    _plot(points, folder / PLOT, picked, unit)


def _plot(points: Mapping[str, Point], path: Path, picked: str, unit: str) -> None:
    """Loss over size, and speed over size; what was not kept is hollow, what was picked is ringed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    quality, speed = figure.subplots(1, 2)
    for name, point in points.items():
        fill = {} if point.is_kept else {"markerfacecolor": "none"}
        for axes, value in ((quality, point.loss_increase), (speed, point.per_s)):
            (dot,) = axes.plot(point.size_bytes / 1e6, value, "o", markersize=7, **fill)
            axes.annotate(name, (point.size_bytes / 1e6, value), xytext=(6, 4), textcoords="offset points", fontsize=8)
            if name == picked:
                axes.plot(point.size_bytes / 1e6, value, "o", markersize=14, fillstyle="none", color=dot.get_color())
    quality.set_ylabel(f"loss over fp32 (nats per {unit.rstrip('s')})")
    speed.set_ylabel(f"{unit} per second")
    for axes in (quality, speed):
        axes.set_xlabel("MB")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
