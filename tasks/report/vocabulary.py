"""A picture of how well a vocabulary fits the text."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_BAR, _LINE = "#4c9f70", "#35618f"
_ROW_INCHES = 0.36


def draw_vocabulary(
    path: Path, bytes_per_token: Mapping[str, float], counts: npt.NDArray[np.int64], *, title: str
) -> None:
    """Bars of bytes per token by language, and the counts of tokens by falling rank on log scales; written as PNG."""
    height = 4.2 + _ROW_INCHES * len(bytes_per_token)
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    bars, ranks = figure.subplots(2, 1, height_ratios=(0.6 + _ROW_INCHES * len(bytes_per_token), 3.2))
    bars.set_title(title, loc="left")
    _draw_bars(bars, bytes_per_token)
    used = np.sort(counts[counts > 0])[::-1]
    if len(used):
        ranks.loglog(np.arange(1, len(used) + 1), used, color=_LINE, linewidth=1.4)
    ranks.set_xlabel("rank of the token")
    ranks.set_ylabel("occurrences")
    ranks.grid(alpha=0.3)
    ranks.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _draw_bars(axes: Axes, bytes_per_token: Mapping[str, float]) -> None:
    names, values = list(bytes_per_token), list(bytes_per_token.values())
    bars = axes.barh(range(len(names)), values, color=_BAR, height=0.7)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=4)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max([*values, 1.0]) * 1.15)
    axes.set_xlabel("bytes per token")
    axes.spines[["top", "right"]].set_visible(False)
