"""Whether a step fits into memory, and the first change that makes it fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.estimation.layout import STRATEGIES, Layout, Strategy
from tasks.estimation.memory import MemoryParts, memory_parts
from tasks.estimation.scaling import resized
from tasks.estimation.shape import ModelShape

USABLE = 0.95
"""Share of a device's memory that one process can count on."""


@dataclass(frozen=True)
class Options:
    """What may be changed to make a step fit."""

    checkpointing: str | None = None
    """The setting that turns activation checkpointing on; None where there is none."""
    strategies: Sequence[Strategy] = ()
    """Ways to share a model out among several devices."""


@dataclass(frozen=True)
class Fit:
    """A step that fits, and what was changed for it."""

    changes: tuple[str, ...]
    """Settings as --set takes them, or what to do in words."""
    shape: ModelShape
    layout: Layout
    parts: MemoryParts


def first_fit(shape: ModelShape, layout: Layout, available: int, *, options: Options) -> Fit | None:
    """The mildest change with which a step needs at most `available` bytes; no changes where it fits as it is.

    Tried in this order: smaller micro-batches (which cost nothing but a little speed), activation checkpointing (a
    third more arithmetic), sharing optimizer, gradients and weights out (more communication), and last a smaller
    model. Each is computed with `memory_parts`; None where nothing helps.
    """
    for changes, changed_shape, changed in _candidates(shape, layout, options):
        parts = memory_parts(changed_shape, changed)
        if parts.total <= available:
            return Fit(changes, changed_shape, changed, parts)
    return None


def _candidates(
    shape: ModelShape, layout: Layout, options: Options
) -> Iterator[tuple[tuple[str, ...], ModelShape, Layout]]:
    batches = list(_batches(layout))
    yield from ((changes, shape, changed) for changes, changed in batches)
    leanest_changes, leanest = batches[-1]
    if options.checkpointing and not layout.checkpointing:
        for changes, changed in batches:
            yield (*changes, options.checkpointing), shape, replace(changed, checkpointing=True)
        leanest_changes, leanest = (*leanest_changes, options.checkpointing), replace(leanest, checkpointing=True)
    later = options.strategies if layout.devices > 1 else ()
    for strategy in [one for one in later if STRATEGIES.index(one) > STRATEGIES.index(layout.strategy)]:
        leanest = replace(leanest, strategy=strategy)
        yield (*leanest_changes, f"run.parallel={strategy}"), shape, leanest
    for depth in range(max(1, shape.width // 64), 0, -1):
        if (model := resized(shape, depth)).width < shape.width:
            yield (*leanest_changes, *model_settings(model)), model, leanest


def model_settings(shape: ModelShape) -> tuple[str, ...]:
    """The settings that ask for a model of this shape."""
    grouped = [f"train.model.kv_heads={shape.kv_heads}"] if shape.kv_heads != shape.heads else []
    names = {"layers": shape.layers, "width": shape.width, "heads": shape.heads}
    return (*(f"train.model.{name}={value}" for name, value in names.items()), *grouped)


def _batches(layout: Layout) -> Iterator[tuple[tuple[str, ...], Layout]]:
    """The step as it is, then with ever fewer blocks at a time, last in the evaluation too, which grows coarser."""
    for coarser in (False, True):
        for micro in (layout.micro_blocks, *_divisors_below(layout.micro_blocks)):
            rows = min(layout.eval_rows, micro) if coarser else layout.eval_rows
            if coarser and rows == layout.eval_rows:
                continue
            fewer = (f"train.micro_blocks={micro}",) if micro < layout.micro_blocks else ()
            shorter = (f"train.eval_blocks={rows}",) if coarser else ()
            yield (*fewer, *shorter), replace(layout, micro_blocks=micro, eval_rows=rows)


def _divisors_below(number: int) -> list[int]:
    """Its divisors but itself, largest first."""
    return [divisor for divisor in range(number - 1, 0, -1) if number % divisor == 0]
