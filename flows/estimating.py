"""gristmill estimate: what a run will take, before anything runs."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.console import make_console, say
from flows.home import locate_home
from flows.running import overrides_of
from params.load import load_params
from params.pipeline import PipelineParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.context import Planned, Run, num_cores, roots_of
from tasks.estimation.adapting import Target, layout_of, step_of, this_machine
from tasks.estimation.advice import short
from tasks.estimation.corpus import Corpus, corpus_of, listed_bytes
from tasks.estimation.estimate import Costs, Estimate, estimate, shape_of
from tasks.estimation.fitting import USABLE, Options
from tasks.estimation.layout import NAMES, STRATEGIES, Layout
from tasks.estimation.memory import memory_parts
from tasks.estimation.pace import Pace, pace_from_peak, pace_on
from tasks.estimation.shortage import settings_text
from tasks.hardware.accelerators import PRICES_FROM, find_accelerators

_GIB = 1 << 30
_GB = 1e9
_OPTIONS = Options(checkpointing="activation checkpointing", strategies=STRATEGIES)
_TOTAL = "total"


def estimate_run(arguments: argparse.Namespace) -> int:
    """Print what a run will take. Nothing is made; for this machine some seconds of training are tried."""
    overrides = overrides_of(arguments)
    params = load_params(arguments.preset, overrides)
    corpus = _corpus(params, Store(locate_home(params.run.home).store))
    found = _elsewhere(params, corpus, arguments) if arguments.on else _here(params, corpus, arguments)
    if arguments.json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        _print(make_console(), arguments.preset, found)
    return 0


def _corpus(params: PipelineParams, store: Store) -> Corpus:
    roots = roots_of(params)
    size = listed_bytes(params.survey, roots)
    results = {} if size is None else _known_results(params, store)
    return corpus_of(params, results, listed_bytes=size)


def _known_results(params: PipelineParams, store: Store) -> dict[str, Manifest]:
    """Stored results of this very recipe; the sources are read for their digests only where there may be any."""
    if next(run_records(store.root), None) is None:
        return {}
    from flows.pipeline import chain

    planned: list[Planned] = []
    chain(params, Run(store, params.run, RunRecord.begin("estimate", {}), roots=roots_of(params), plan=planned))
    found = {step.stage: store.find(step.stage, step.fingerprint) for step in planned if step.fingerprint}
    return {stage: result for stage, result in found.items() if result is not None}


def _elsewhere(params: PipelineParams, corpus: Corpus, arguments: argparse.Namespace) -> Estimate:
    accelerator, devices = find_accelerators(arguments.on)
    precision = accelerator.precision(params.train.precision)
    target = Target(
        f"{devices} x {accelerator.name}", devices, precision, on_gpu=True, available=int(accelerator.memory_gib * _GIB)
    )
    step = step_of(params.train, shape_of(params, corpus), layout_of(params.train, target))
    costs = Costs(accelerator.dollars_per_hour, f"example: {PRICES_FROM}", accelerator.watts)
    if arguments.price is not None:
        costs = Costs(arguments.price, "as given", accelerator.watts)
    pace = pace_on(accelerator, step, precision=precision)
    return estimate(params, corpus, target, pace=pace, costs=costs, options=_OPTIONS)


def _here(params: PipelineParams, corpus: Corpus, arguments: argparse.Namespace) -> Estimate:
    target = this_machine(params.train, params.run)
    shape = shape_of(params, corpus)
    needed = memory_parts(shape, layout_of(params.train, target)).total
    fits = target.available is None or needed <= target.available * USABLE
    pace = _tried(params, corpus, target) if fits and not arguments.no_trial else None
    if pace is None:
        pace = _from_peak(params, corpus, target)
    costs = Costs(arguments.price, "as given", arguments.watts)
    return estimate(params, corpus, target, pace=pace, costs=costs, options=_OPTIONS)


def _tried(params: PipelineParams, corpus: Corpus, target: Target) -> Pace | None:
    from tasks.estimation.trial import Failed, run_trial

    say("trying some seconds of training …")
    threads = _threads(params)
    tried = run_trial(params.train, params.run, shape_of(params, corpus), threads=threads)
    if isinstance(tried, Failed):
        say(f"warning: the trial failed ({tried.reason}); the time is estimated from the matrix peak")
        return None
    peak = "" if tried.peak_rss_bytes is None else f", {tried.peak_rss_bytes / _GIB:.2f} GiB a rank"
    return Pace(tried.step_s, tried.start_s, f"measured here, {tried.steps} steps with {threads} threads a rank{peak}")


def _from_peak(params: PipelineParams, corpus: Corpus, target: Target) -> Pace:
    """The pace that this machine's matrix peak lets expect; measured, unless the home has it from an earlier run."""
    import torch

    from tasks.hardware.probe import probe

    home = locate_home(params.run.home)
    device = torch.device("cuda" if target.on_gpu else "cpu")
    with tempfile.TemporaryDirectory(prefix="gristmill-probe-") as scratch:
        cache = home.cache if home.root.exists() else Path(scratch)
        ceilings = probe(device, threads=_threads(params), folder=Path(scratch), cache=cache)
    step = step_of(params.train, shape_of(params, corpus), layout_of(params.train, target))
    peak = target.devices * ceilings.matrix_peak(target.precision)
    return pace_from_peak(step, peak_flops=peak, compiled=params.run.compile)


def _threads(params: PipelineParams) -> int:
    return params.run.threads or max(1, num_cores() // params.run.ranks)


def _print(console: Console, preset: str, found: Estimate) -> None:
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
    yield from found.advice.sentences
    yield from found.corpus.notes
    yield "activations are for uncompiled layers: torch.compile keeps less"


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
