"""What a training job asks of this machine: its memory before it starts, its figures beside the predicted ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.estimation.adapting import Target, layout_of, step_of, this_machine
from tasks.estimation.fitting import Options
from tasks.estimation.layout import STRATEGIES
from tasks.estimation.pace import pace_from_peak
from tasks.estimation.prediction import Compared, Figures, compared, predicted
from tasks.estimation.shape import FAMILIES, ModelShape
from tasks.estimation.shortage import Demand
from tasks.hardware.ceilings import Ceilings
from tasks.tokenizer.files import special_ids
from tasks.training.extent import extent_of
from tasks.training.job import Job

_OPTIONS = Options(checkpointing="train.checkpoint_activations=true", strategies=STRATEGIES)


@dataclass(frozen=True)
class Ended:
    """What a training came to."""

    report: Mapping[str, Any]
    """Its stop.json."""
    clock: Mapping[str, float]
    """Its clock.json."""


def demand_of(job: Job) -> Demand | None:
    """A job's step and the memory there is for it; None where nobody can tell: an architecture without a formula,
    adapters (most weights then have neither gradient nor optimizer), a GPU (which the training process alone opens).
    """
    shape = shape_of_job(job)
    target = this_machine(job.params, job.settings)
    if shape is None or target.on_gpu or target.available is None or job.params.model.lora is not None:
        return None
    layout = layout_of(job.params, target)
    return Demand(shape, layout, available=target.available, where=target.name, options=_OPTIONS)


def shape_of_job(job: Job) -> ModelShape | None:
    """The model that a job trains; None for an architecture without a formula."""
    context = extent_of(job.shards, job.params.objective).context
    weights = job.start or job.weights
    if weights is not None:
        config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
        return ModelShape.of_config(config, context=context) if config["model_type"] in FAMILIES else None
    if job.params.model.architecture not in FAMILIES:
        return None
    return ModelShape.of(job.params.model, vocab_size=special_ids(job.tokenizer).vocab_size, context=context)


def compare(job: Job, ended: Ended, ceilings: Ceilings | None) -> tuple[Compared, ...]:
    """Every figure of a finished training that could be predicted, beside what it was; without ceilings, no times."""
    shape = shape_of_job(job)
    if shape is None:
        return ()
    report = ended.report
    on_gpu, compiled = not str(report["device"]).startswith("cpu"), bool(report["compiled"])
    target = Target("here", int(report["ranks"]), report["precision"], on_gpu, None, compiled, job.settings.parallel)
    step = step_of(job.params, shape, layout_of(job.params, target))
    pace = None
    if ceilings is not None:
        pace = pace_from_peak(step, peak_flops=ceilings.matrix_peak(target.precision), compiled=compiled)
    blocks = extent_of(job.shards, job.params.objective).blocks
    before = predicted(job.params, job.settings, shape, target=target, num_blocks=blocks, pace=pace)
    return compared(before, _actual(job, ended, flops_per_token=step.model_flops / step.tokens))


def _actual(job: Job, ended: Ended, *, flops_per_token: float) -> Figures:
    tokens, seconds = float(ended.report["tokens"]), ended.clock["elapsed_s"]
    on_gpu = not str(ended.report["device"]).startswith("cpu")
    return Figures(
        parameters=float(ended.report["parameters"]),
        tokens=tokens,
        tokens_per_s=tokens / seconds if seconds else None,
        training_s=seconds,
        flops=tokens * flops_per_token,
        peak_memory_bytes=None if on_gpu else ended.clock["peak_rss_mb"] * (1 << 20),
        checkpoint_bytes=_newest_size(job.checkpoints),
    )


def _newest_size(checkpoints: Path) -> float | None:
    folders = sorted(checkpoints.glob("step-*"))
    return float(sum(path.stat().st_size for path in folders[-1].iterdir())) if folders else None
