"""The estimate as people read it."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.estimation.advice import short
from tasks.estimation.estimate import Estimate
from tasks.estimation.fitting import USABLE
from tasks.estimation.layout import NAMES, Layout
from tasks.estimation.shortage import settings_text

_GIB = 1 << 30
_GB = 1e9
_TOTAL = "total"


def print_estimate(console: Console, preset: str, found: Estimate) -> None:
    """Tables at most 80 columns wide, then what fits, what to set and what was assumed."""
    console.print(Text(f"Estimate of {preset} on {found.target.name}", style="bold"))
    for table in (_parameter_table(console, found), _figure_table(found), _memory_table(console, found)):
        console.print(table)
    for line in _lines(found):
        console.print(Text(line))


def _table(console: Console, *columns: str) -> Table:
    """Lines under the heading on a terminal; elsewhere only columns."""
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table


def _parameter_table(console: Console, found: Estimate) -> Table:
    counts = found.parameters
    table = _table(console, "Parameters", "number", "share")
    parts = {name: getattr(counts, name) for name in ("embeddings", "attention", "feed_forward", "norms", "head")}
    for name, number in {**parts, _TOTAL: counts.total}.items():
        tied = name == "head" and found.shape.tied
        table.add_row(
            name.replace("_", "-"), "tied" if tied else f"{number:,}", "" if tied else f"{number / counts.total:.1%}"
        )
    return table


def _figure_table(found: Estimate) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _figures(found):
        table.add_row(Text(name), Text(value))
    return table


def _figures(found: Estimate) -> Iterator[tuple[str, str]]:
    plan, flops = found.plan, found.flops
    yield "tokens", _planned(found)
    parts = f"layers {flops.layers / flops.total:.0%}, attention {flops.attention / flops.total:.0%}"
    parts += f", logits {flops.logits / flops.total:.0%}"
    yield "FLOPs a token", f"{short(flops.total)} (6 N + 12 L H Q T: {parts})"
    if found.total_flops is not None:
        yield "FLOPs in all", f"{found.total_flops:.3g}"
    if found.pace is not None:
        yield "speed", f"{found.pace.tokens_per_s(plan.tokens_per_step):,.0f} tokens/s; {found.pace.source}"
    if (took := found.duration) is not None:
        pieces = f"start {_span(took.start_s)}, steps {_span(took.steps_s)}"
        pieces += f", evaluation {_span(took.evaluation_s)}, saving {_span(took.saving_s)}"
        yield "time", f"{_span(took.total_s)} ({pieces})"
    if found.dollars is not None:
        hourly = f"{found.costs.dollars_per_hour:g} $ an hour and device, {found.costs.dollars_source}"
        yield "money", f"{found.dollars:,.2f} $ ({hourly})"
    if found.kilowatt_hours is not None:
        yield "energy", f"{found.kilowatt_hours:,.3g} kWh at most ({found.costs.watts:g} W a device)"
    disk = found.disk
    pieces = f"text {_size(disk.text)}, shards {_size(disk.shards)}, checkpoints {_size(disk.checkpoints)}"
    yield "disk", f"{_size(disk.total)} ({pieces}, model {_size(disk.model)})"


def _planned(found: Estimate) -> str:
    plan = found.plan
    if plan.tokens is None:
        return f"open: {plan.missing or 'only rules end it whose moment nobody knows'}"
    epochs = "" if plan.epochs is None else f", {plan.epochs:.3g} epochs"
    earlier = f"; may end earlier by {', '.join(plan.may_end_earlier)}" if plan.may_end_earlier else ""
    return f"{short(plan.tokens)} in {plan.steps:,} steps{epochs} (train.stop.{plan.rule}){earlier}"


def _memory_table(console: Console, found: Estimate) -> Table:
    """A row for each way; activation checkpointing is `ckpt`."""
    table = _table(console, "GiB a device", "ckpt", "weights", "grads", "optim", "activ", "logits", "work", "all")
    available = found.target.available
    for layout, parts in found.memory:
        sizes = (parts.weights, parts.gradients, parts.optimizer, parts.activations, parts.logits, parts.workspace)
        fits = available is None or parts.total <= available * USABLE
        total = Text(f"{parts.total / _GIB:.2f}", style="" if fits else "red")
        total.append("" if fits else " !")
        table.add_row(
            _layout_name(layout),
            "yes" if layout.checkpointing else "",
            *(f"{size / _GIB:.2f}" for size in sizes),
            total,
        )
    return table


def _layout_name(layout: Layout) -> str:
    return NAMES[layout.strategy].partition(" (")[0] if layout.devices > 1 else "one device"


def _lines(found: Estimate) -> Iterator[str]:
    available, fit = found.target.available, found.fit
    if available is not None:
        asked = f"micro-batches of {found.layout.micro_blocks}"
        told = f"{available / _GIB:.1f} GiB there"
        if found.fits:
            yield f"fits: {asked}, {told}"
        elif fit is None:
            yield f"DOES NOT FIT: {told}, and no setting helps"
        else:
            yield f"DOES NOT FIT: {told}; {fit.parts.total / _GIB:.2f} GiB with {settings_text(fit.changes)}"
    if found.plan.max_minutes is not None and found.pace is None:
        yield f"max_minutes {found.plan.max_minutes:g} may end it first: the speed is not known"
    yield from found.advice.sentences if found.advice is not None else ()
    yield from found.corpus.notes


def _span(seconds: float) -> str:
    """A time in its two leading units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _size(size: float) -> str:
    return f"{size / _GB:,.2f} GB" if size >= 0.1 * _GB else f"{size / 1e6:,.1f} MB"
