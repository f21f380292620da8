"""Plots of training curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot_loss(points: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """Training and validation loss over tokens, the learning rate beneath, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    tokens_per_step = next((p["tokens"] / p["step"] for p in points if p.get("tokens")), 1.0)
    for key, label, style in (("loss", "training", "-"), ("val_loss", "validation", "o-")):
        shown = [(p["step"] * tokens_per_step / 1e6, p[key]) for p in points if p.get(key) is not None]
        if shown:
            losses.plot(*zip(*shown, strict=True), style, label=label, markersize=4, linewidth=1.2)
    losses.set_ylabel("loss (nats per token)")
    losses.set_title(title, fontsize=10)
    losses.legend()
    losses.grid(alpha=0.3)
    factors = [(p["step"] * tokens_per_step / 1e6, p["lr_factor"]) for p in points if "lr_factor" in p]
    if factors:
        rates.plot(*zip(*factors, strict=True), color="tab:green", linewidth=1.2)
    rates.set_ylabel("lr / peak")
    rates.set_ylim(0, 1.05)
    rates.set_xlabel("million tokens")
    rates.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
