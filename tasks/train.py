"""Train the model in a child process started through torchrun."""

import json
import logging
import math
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import BrokenTrainingError, ParameterError, TrainingError
from params.train import TrainParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.artifacts.record import RunRecord, run_records
from tasks.context import Run, num_cores
from tasks.hardware.free_memory import oom_kills
from tasks.pull import pull_weights
from tasks.stage import made_by, stage
from tasks.training.mirroring import shared_training

if TYPE_CHECKING:
    from tasks.training.job import Job
    from tasks.watching.watchers import Watchers

log = logging.getLogger(__name__)
_WEIGHTS = "weights"
MODEL = "model"
"""Folder of the trained model, as transformers saves it."""


def identity(params: TrainParams, run: Run, *_inputs: Manifest) -> TrainParams:
    """The parameters, with digests in the place of the paths of a checkpoint and of weights."""
    without_effect = {
        name: TrainParams.model_fields[name].default
        for name, objective in (("preference", "preference"), ("spans", "span_corruption"))
        if params.objective != objective
    }
    params = params.model_copy(update=without_effect)
    if params.branch_from is not None:
        from tasks.training.branching import digest_of

        params = params.model_copy(update={"branch_from": digest_of(Path(params.branch_from))})
    if params.model.from_weights is not None:
        from tasks.model.files import weights_digest
        from tasks.model.sources import locate_weights

        cache = _cache(run) / _WEIGHTS
        found = weights_digest(locate_weights(params.model.from_weights, cache=cache, fetch=pull_weights))
        params = params.model_copy(update={"model": params.model.model_copy(update={"from_weights": found})})
    return params


@stage(version=4, volatile=("logs/*", "checkpoints/*/clock.json", "checkpoints/*/seal.json"), identity=identity)
def train(
    params: TrainParams, tokenizer: Manifest, shards: Manifest, model: Manifest | None = None, *, out: Path, run: Run
) -> Metrics:
    """Learn from the token shards until a stop rule decides; leave the model, its curves and its last checkpoint.

    It starts from the weights of `model`, an earlier phase, where there is one, and from scratch elsewhere.
    Interrupted at any instant, the next call goes on from the newest checkpoint and ends with the same bytes.
    """
    from tasks.training.job import Job
    from tasks.training.orders import OrderBook

    settings = run.settings
    ranks = settings.ranks * settings.nodes
    if params.micro_blocks == "auto" and run.settings.parallel != "ddp":
        raise ParameterError(
            f"train.micro_blocks auto tries on one rank, and run.parallel {run.settings.parallel} needs all of them; "
            "set a number"
        )
    if params.batch_blocks % ranks:
        raise ParameterError(f"train.batch_blocks {params.batch_blocks} cannot be shared among {ranks} ranks")
    (out / "logs").mkdir(exist_ok=True)
    threads = settings.threads or max(1, num_cores() // settings.ranks)
    job = Job(
        params=params,
        settings=settings.model_copy(update={"home": None}),
        shards=shards.folder,
        tokenizer=tokenizer.folder,
        start=model.folder_with(f"{MODEL}/**") / MODEL if model else None,
        weights=_weights(params, tokenizer, shards, run) if model is None else None,
        out=out,
        threads=threads,
        orders=run.orders,
        orders_seen=OrderBook(run.orders).skip(),
        cache=_cache(run),
    )
    _check_stop(job)
    _check_memory(job)
    job.save(out / "logs" / "job.json")
    if params.branch_from is not None:
        _branch(Path(params.branch_from), job, run)
    if run.tracker is not None:
        run.tracker.log_dataset("shards", shards.digest, "training")
    with _watchers(params, out, run) as watchers:
        with run.training_slot(), _shared(out, run):
            report = _learn(job, watchers, run)
        watchers.end(report)
    _show_samples(out, run)
    _plot(out, report)
    return _finish(job, report)


def _shared(out: Path, run: Run) -> AbstractContextManager[None]:
    """Where homes share a store: go on from what another has left there, and leave there how far this one is."""
    if run.store.shared is None or run.settings.mirror_every_s is None:
        return nullcontext()
    work = run.store.shared.unfinished(out.parent.name, out.stem)
    return shared_training(work, out, every_s=run.settings.mirror_every_s, made_by=made_by())


def _learn(job: "Job", watchers: "Watchers", run: Run) -> dict[str, Any]:
    """Run the training process, unless it has nothing left to do; what it says of its end."""
    from tasks.training.launch import run_training

    output, code, kills = job.out / "logs" / "output.log", 0, oom_kills()
    if not (job.out / "stop.json").exists():  # written last: an attempt killed after it has nothing left to train
        with _announced(job, run):
            code = run_training(
                job,
                job.out / "logs" / "job.json",
                on_points=_follow(run, watchers),
                on_warning=lambda text: log.warning("%s: %s", run.stage, text),
                log_path=output,
            )
    return _report(job, code, output, kills=oom_kills() - kills)


@contextmanager
def _announced(job: "Job", run: Run) -> Iterator[None]:
    """While training runs: the other machines know of it, where there are any."""
    from tasks.training.nodes import Announcement, announced, announcement_path

    if job.settings.nodes == 1:
        yield
        return
    assert job.settings.rendezvous is not None
    path = announcement_path(run.store.root.parent, job.settings.rendezvous)
    attempt = secrets.token_hex(8)
    others = job.settings.nodes - 1
    log.info("%s: waits at %s for %d other machines (gristmill node)", run.stage, job.settings.rendezvous, others)
    with announced(path, Announcement(run_id=run.record.run_id, attempt=attempt, job=job.out / "logs" / "job.json")):
        yield


def _watchers(params: TrainParams, out: Path, run: Run) -> "Watchers":
    """TensorBoard, Weights & Biases and callbacks, as the run's settings say."""
    from tasks.watching.watchers import Watchers

    return Watchers.from_params(
        run.settings.watch,
        folder=run.store.root.parent / "watch",
        project="gristmill",
        run_id=f"{run.record.run_id}-{run.stage}",
        samples=out / "logs" / "samples.jsonl",
        config={"train": params.model_dump(mode="json")},
    )


def _show_samples(out: Path, run: Run) -> None:
    from tasks.training.curve import read_points
    from tasks.watching.samples import as_markdown

    samples = list(read_points(out / "logs" / "samples.jsonl"))
    if samples and run.tracker is not None:
        run.tracker.log_text(as_markdown(samples), f"samples/{run.stage}.md")


def _weights(params: TrainParams, tokenizer: Manifest, shards: Manifest, run: Run) -> Path | None:
    """A folder with the weights that the parameters name, checked; says what the model will be."""
    from tasks.model.sources import resolve_weights
    from tasks.model.start import check_model, check_objective
    from tasks.training.extent import extent_of

    source = params.model.from_weights
    cache = _cache(run) / _WEIGHTS
    weights = resolve_weights(source, cache=cache, fetch=pull_weights) if source is not None else None
    context = extent_of(shards.folder, params.objective).context
    if weights is not None:
        check_objective(params.objective, weights)
    log.info(
        "%s: %s", run.stage, check_model(params.model, weights=weights, tokenizer=tokenizer.folder, context=context)
    )
    return weights


def _check_stop(job: "Job") -> None:
    """Refuse stop rules that cannot do what they are meant to, and warn of those that the end will forestall."""
    from tasks.tokenizer.files import special_ids
    from tasks.training.extent import extent_of
    from tasks.training.metrics import logged_metrics
    from tasks.training.stopping.checks import LOGGED, Setting, check_stop

    params, extent = job.params, extent_of(job.shards, job.params.objective)
    is_scratch = job.start is None and job.weights is None and params.branch_from is None
    is_scratch &= params.objective not in ("preference", "classify")
    setting = Setting(
        tokens_per_step=params.batch_blocks * extent.context,
        steps_per_epoch=extent.blocks / params.batch_blocks,
        eval_every_steps=params.eval_every_steps,
        logged=LOGGED | logged_metrics(params.objective),
        initial_loss=math.log(special_ids(job.tokenizer).vocab_size) if is_scratch else None,
        is_new=not job.checkpoints.exists(),
    )
    for warning in check_stop(params.stop, setting):
        log.warning("%s", warning)


def _check_memory(job: "Job") -> None:
    """Refuse a step that this machine has no memory for, and warn of one for which it may just not do."""
    from tasks.estimation.expectation import demand_of
    from tasks.estimation.shortage import check_memory

    demand = demand_of(job)
    if demand is not None and (said := check_memory(demand)) is not None:
        log.warning("train: %s", said)


def _cache(run: Run) -> Path:
    """Folder of what is known of this machine, and of fetched or converted weights: may be removed at any time."""
    return run.store.root.parent / "cache"


def _branch(checkpoint: Path, job: "Job", run: Run) -> None:
    """Begin at a checkpoint of another run, and say so in MLflow."""
    from tasks.training.branching import adopt

    adopt(checkpoint, job.checkpoints)
    parents = [record.run_id for record in run_records(run.store.root) if _made(record, checkpoint)]
    if run.tracker is not None:
        run.tracker.tag(
            {"gristmill.parent": parents[0] if parents else "", f"{run.stage}.branched_from": str(checkpoint)}
        )


def _made(record: RunRecord, checkpoint: Path) -> bool:
    return any(done.fingerprint in checkpoint.parts and not done.reused for done in record.stages.values())


def _follow(run: Run, watchers: "Watchers") -> Callable[[list[dict[str, Any]]], None]:
    """Print progress and hand the points to MLflow as they come."""
    last: dict[str, Any] = {}
    stage, began = run.stage, time.monotonic()

    def show(points: list[dict[str, Any]]) -> None:
        watchers.show(points)
        if not points:
            return
        for point in points:
            _tell_event(run, stage, point)
            last.update(point)
        parts = [f"step {last['step']:,}", f"loss {last.get('loss', float('nan')):.3f}"]
        if last.get("val_loss") is not None:
            parts.append(f"validation {last['val_loss']:.3f}")
        if "tokens" in last:
            parts += [f"{last['tokens'] / 1e6:.2f} M tokens", f"{last['tokens_per_s']:,.0f} tokens/s"]
        if last.get("share_of_peak") is not None:
            parts.append(f"{last['share_of_peak']:.0%} of peak")
        if last.get("left_s"):
            parts.append(
                f"{last['left_s'] / 60:.0f} min left" if last["left_s"] > 90 else f"{last['left_s']:.0f} s left"
            )
        log.info("%s: %s", stage, ", ".join(parts))
        if last.get("left_s") is not None:
            elapsed_s = time.monotonic() - began
            run.show_progress(elapsed_s / max(elapsed_s + last["left_s"], 1e-9))
        if run.tracker is not None:
            run.tracker.log_curve(stage, points)

    return show


def _tell_event(run: Run, stage: str, point: dict[str, Any]) -> None:
    """Say what a person asked for, or what a spike did, and tag the run with it; the point keeps its numbers."""
    said = (("event", "somebody asked for "), ("spike", ""))
    for event, begins in [(point.pop(key), begins) for key, begins in said if key in point]:
        log.info("%s: at step %s %s%s", stage, f"{point['step']:,}", begins, event)
        if run.tracker is not None:
            run.tracker.tag({f"{stage}.event.{point['step']}": event})


def _report(job: "Job", code: int, output: Path, *, kills: int) -> dict[str, Any]:
    """What the training process says of its end; an error when it did not end well."""
    path = job.out / "stop.json"
    if not path.exists():
        _explain_memory(job, code, output, kills=kills)
        raise TrainingError(
            f"training ended with code {code} before a stop rule decided: {_cause(output)}. The same command goes on "
            f"from its last checkpoint; all that training said is in {output}"
        )
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if report["verdict"] == "broken":
        path.unlink()
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in report["rates"].items() if rate is not None)
        raise BrokenTrainingError(
            f"training broke: {report['reason']}. Nothing is released from it; set a lower train.optimizer.muon_lr and "
            f"train.optimizer.lr (the rates were {rates}), or raise train.schedule.warmup_steps"
        )
    return report


def _explain_memory(job: "Job", code: int, output: Path, *, kills: int) -> None:
    """An error with the setting that would fit, where memory ran out."""
    from tasks.estimation.expectation import demand_of
    from tasks.estimation.shortage import memory_failure, out_of_memory

    if (how := memory_failure(output, code, kills=kills)) is None:
        return
    demand = demand_of(job)
    advice = "set train.micro_blocks lower, or train.checkpoint_activations=true"
    said = out_of_memory(demand, how) if demand else f"training ran out of memory ({how}); {advice}"
    raise TrainingError(f"{said}. The same command goes on from its last checkpoint; all it said is in {output}")


def _cause(output: Path) -> str:
    """The exception of the training process, or what the last line of its output says."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if re.match(r"(\[rank\d+\]: )?[\w.]+(Error|Exception|Interrupt)\b", line)]
    killed = [line for line in lines if "Signal" in line and "traceback" in line]
    said = [line for line in lines if line.strip("=- ")]
    cause = (killed[-1:] or told[:1] or said[-1:] or ["it said nothing"])[0]
    return re.sub(r"^\[rank\d+\]: |^\s*traceback\s*: ", "", cause).strip()


def _plot(out: Path, report: dict[str, Any]) -> None:
    from tasks.report.curves import plot_loss
    from tasks.training.curve import read_points

    title = f"{report['parameters'] / 1e6:.1f} M parameters; ended by {report['rule']}: {report['reason']}"
    plot_loss(list(read_points(out / "logs" / "metrics.jsonl")), out / "logs" / "loss.png", title=title)


def _compared(job: "Job", report: dict[str, Any], clock: dict[str, float]) -> dict[str, float]:
    """Figures that the estimate predicts, beside what they were."""
    from tasks.estimation.expectation import Ended, compare
    from tasks.estimation.prediction import comparison_lines, comparison_metrics
    from tasks.hardware.ceilings import Ceilings

    logs = job.out / "logs"
    found = compare(job, Ended(report, clock), Ceilings.load(logs / "ceilings.json"))
    write_atomic(logs / "predicted.txt", "".join(f"{line}\n" for line in comparison_lines(found)))
    return comparison_metrics(found)


def _finish(job: "Job", report: dict[str, Any]) -> Metrics:
    """Keep the last checkpoint and the one before the decay, drop the rest, and say what was measured."""
    import torch

    from tasks.hardware.probe import device_name
    from tasks.training.checkpoint import before_decay, checkpoint_folders
    from tasks.training.launch import TORCHRUN_LOGS

    out = job.out
    for old in checkpoint_folders(job.checkpoints)[:-1]:
        if not before_decay(old):
            shutil.rmtree(old)
    for left in ("best", TORCHRUN_LOGS):
        shutil.rmtree(out / left, ignore_errors=True)
    for lock in out.glob("rank-*.lock"):
        lock.unlink()
    clock = json.loads((out / "logs" / "clock.json").read_text())
    seconds = clock["elapsed_s"]
    measured = {f"final_{name}": value for name, value in report["metrics"].items()}
    more = "".join(
        f", {name.removeprefix('final_val_').replace('_', ' ')} {value:.3f}" for name, value in measured.items()
    )
    return Metrics(
        headline=f"{report['parameters'] / 1e6:.1f} M parameters, {report['tokens'] / 1e6:.2f} M tokens, "
        f"validation loss {report['val_loss']:.3f}{more}",
        speed=(report["tokens"], "tokens"),
        counts={name: report[name] for name in ("steps", "tokens", "parameters")},
        values={
            "final_val_loss": report["val_loss"],
            **measured,
            "epochs": report["epochs"],
            "training_s": seconds,
            "mean_tokens_per_s": report["tokens"] / seconds,
            "peak_rss_mb": clock["peak_rss_mb"],
            **_compared(job, report, clock),
        },
        facts={
            "stop_rule": report["rule"],
            "stop_reason": "; ".join(filter(None, (report["reason"], report["also"]))),
            "verdict": report["verdict"],
            **({"edits": json.dumps(report["edits"])} if report["edits"] else {}),
            **({"skipped_steps": str(report["skipped_steps"])} if report["skipped_steps"] else {}),
            **{name: str(report[name]) for name in ("weights", "device", "precision", "compiled", "threads", "ranks")},
            "hardware": device_name(torch.device(report["device"])),
        },
    )
