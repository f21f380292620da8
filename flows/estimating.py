"""gristmill estimate: what a run will take, before anything runs."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flows.console import make_console, say
from flows.estimate_view import print_estimate
from flows.home import locate_home
from flows.running import overrides_of
from params.load import load_params
from params.objective import FROM_EXAMPLES
from params.pipeline import PipelineParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.context import Planned, Run, num_cores, root_of, roots_of
from tasks.encode import encode
from tasks.estimation.adapting import Target, layout_of, step_of, this_machine
from tasks.estimation.corpus import Corpus, corpus_of, corpus_of_examples, listed_bytes, size_of_files
from tasks.estimation.estimate import Costs, Estimate, estimate, shape_of
from tasks.estimation.fitting import USABLE, Options
from tasks.estimation.layout import STRATEGIES
from tasks.estimation.memory import memory_parts
from tasks.estimation.pace import Pace, pace_from_peak, pace_on
from tasks.hardware.accelerators import PRICES_FROM, find_accelerators

_GIB = 1 << 30
_OPTIONS = Options(checkpointing="train.checkpoint_activations=true", strategies=STRATEGIES)


def estimate_run(arguments: argparse.Namespace) -> int:
    """Print what a run will take. Nothing is made; for this machine some seconds of training are tried."""
    overrides = overrides_of(arguments)
    params = load_params(arguments.preset, overrides)
    corpus, results = _corpus(params, Store(locate_home(params.run.home).store))
    one_by_one = _elsewhere if arguments.on else _here
    found = {
        title: one_by_one(part, _learned(part, corpus, results.get(encoded)), arguments)
        for title, encoded, part in _parts(arguments.preset, params)
    }
    if arguments.json:
        plain = [{"title": title} | one.as_json() for title, one in found.items()]
        print(json.dumps(plain if params.train.phases else plain[0], indent=1))
        return 0
    for title, one in found.items():
        print_estimate(make_console(), title, one)
    return 0


def _parts(preset: str, params: PipelineParams) -> Iterator[tuple[str, str, PipelineParams]]:
    """The whole, or each phase of training as if it were the whole: title, its stage of examples, parameters."""
    if not params.train.phases:
        yield preset, encode.name, params.model_copy(update={"encode": params.encode_of()})
    for phase in params.train.phases:
        changes = {"train": params.train.of_phase(phase), "encode": params.encode_of(phase)}
        yield f"{preset}, phase {phase.name}", encode.named(phase.name).name, params.model_copy(update=changes)


def _corpus(params: PipelineParams, store: Store) -> tuple[Corpus, dict[str, Manifest]]:
    """The text, and the stored results that tell of it."""
    roots = roots_of(params)
    size = listed_bytes(params.survey, roots)
    results = {} if size is None else _known_results(params, store)
    return corpus_of(params, results, listed_bytes=size), results


def _learned(params: PipelineParams, corpus: Corpus, encoded: Manifest | None) -> Corpus:
    """What a phase learns from: the text, or its examples."""
    if params.train.objective not in FROM_EXAMPLES:
        return corpus
    places = [(root_of(source.path, source.storage_options), source.include) for source in params.encode.sources]
    sizes = [size_of_files(root, include) for root, include in places]
    known = [size for size in sizes if size is not None]
    listed = sum(known) if len(known) == len(sizes) else None
    return corpus_of_examples(corpus, params, encoded, listed_bytes=listed)


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
        f"{devices} x {accelerator.name}",
        devices,
        precision,
        on_gpu=True,
        available=int(accelerator.memory_gib * _GIB),
        compiled=params.run.compile,
        strategy=params.run.parallel,
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
    told = f"measured here, {tried.steps} steps with {threads} threads a rank{peak}"
    work = layout_of(params.train, target).work  # tried on blocks of one text, and without a reference
    return Pace(work * tried.step_s, tried.start_s, told if work == 1 else f"{told}, times {work:.3g}: pairs of texts")


def _from_peak(params: PipelineParams, corpus: Corpus, target: Target) -> Pace:
    """The pace that this machine's matrix peak lets expect; measured, unless the home has it from an earlier run."""
    import torch

    from tasks.hardware.probe import probe

    torch.set_float32_matmul_precision("high")  # as in training: the peak is another with another mode
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
