"""Train the model in a child process started through torchrun."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from params.errors import ParameterError, TrainingError
from params.train import TrainParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.stage import stage

log = logging.getLogger(__name__)
MODEL = "model"
"""Folder of the trained model, as transformers saves it."""


@stage(version=1, volatile=("logs/*", "checkpoints/*/clock.json", "checkpoints/*/seal.json"))
def train(
    params: TrainParams, tokenizer: Manifest, shards: Manifest, model: Manifest | None = None, *, out: Path, run: Run
) -> Metrics:
    """Learn from the token shards until a stop rule decides; leave the model, its curves and its last checkpoint.

    It starts from the weights of `model`, an earlier phase, where there is one, and from scratch elsewhere.
    Interrupted at any instant, the next call goes on from the newest checkpoint and ends with the same bytes.
    """
    from tasks.training.job import Job
    from tasks.training.launch import run_training
    from tasks.training.orders import OrderBook

    ranks = run.settings.ranks
    if params.batch_blocks % ranks:
        raise ParameterError(f"train.batch_blocks {params.batch_blocks} cannot be shared among run.ranks {ranks}")
    (out / "logs").mkdir(exist_ok=True)
    threads = run.settings.threads or max(1, num_cores() // ranks)
    settings = run.settings.model_copy(update={"home": None})
    job = Job(
        params=params,
        settings=settings,
        shards=shards.folder,
        tokenizer=tokenizer.folder,
        start=model.folder / MODEL if model else None,
        out=out,
        threads=threads,
        orders=run.orders,
        orders_seen=OrderBook(run.orders).skip(),
    )
    job.save(out / "logs" / "job.json")
    if run.tracker is not None:
        run.tracker.log_dataset("shards", shards.digest, "training")
    output, code = out / "logs" / "output.log", 0
    if not (out / "stop.json").exists():  # written last: an attempt killed after it has nothing left to train
        code = run_training(
            job,
            out / "logs" / "job.json",
            on_points=_follow(run),
            on_warning=lambda text: log.warning("%s: %s", run.stage, text),
            log_path=output,
        )
    report = _report(out, code, output)
    _plot(out, report)
    return _finish(out, report)


def _follow(run: Run) -> Callable[[list[dict[str, Any]]], None]:
    """Print progress and hand the points to MLflow as they come."""
    last: dict[str, Any] = {}
    stage = run.stage

    def show(points: list[dict[str, Any]]) -> None:
        if not points:
            return
        for point in points:
            if event := point.pop("event", None):
                log.info("%s: at step %s somebody asked for %s", stage, f"{point['step']:,}", event)
                if run.tracker is not None:
                    run.tracker.tag({f"{stage}.event.{point['step']}": event})
            last.update(point)
        parts = [f"step {last['step']:,}", f"loss {last.get('loss', float('nan')):.3f}"]
        if last.get("val_loss") is not None:
            parts.append(f"validation {last['val_loss']:.3f}")
        if "tokens" in last:
            parts += [f"{last['tokens'] / 1e6:.2f} M tokens", f"{last['tokens_per_s']:,.0f} tokens/s"]
        log.info("%s: %s", stage, ", ".join(parts))
        if run.tracker is not None:
            run.tracker.log_curve(stage, points)

    return show


def _report(out: Path, code: int, output: Path) -> dict[str, Any]:
    """What the training process says of its end; an error when it did not end well."""
    path = out / "stop.json"
    if not path.exists():
        raise TrainingError(
            f"training ended with code {code} before a stop rule decided: {_cause(output)}. The same command goes on "
            f"from its last checkpoint; all that training said is in {output}"
        )
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if report["verdict"] == "broken":
        path.unlink()
        raise TrainingError(
            f"training broke: {report['reason']}. Nothing is released from it; lower train.optimizer.muon_lr or "
            "train.optimizer.lr, or raise train.schedule.warmup_steps"
        )
    return report


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


def _finish(out: Path, report: dict[str, Any]) -> Metrics:
    """Keep the last checkpoint, drop the rest, and say what was measured."""
    from tasks.training.launch import TORCHRUN_LOGS

    for old in sorted((out / "checkpoints").iterdir())[:-1]:
        shutil.rmtree(old)
    for left in ("best", TORCHRUN_LOGS):
        shutil.rmtree(out / left, ignore_errors=True)
    for lock in out.glob("rank-*.lock"):
        lock.unlink()
    clock = json.loads((out / "logs" / "clock.json").read_text())
    seconds = clock["elapsed_s"]
    return Metrics(
        headline=f"{report['parameters'] / 1e6:.1f} M parameters, {report['tokens'] / 1e6:.2f} M tokens, "
        f"validation loss {report['val_loss']:.3f}",
        speed=(report["tokens"], "tokens"),
        counts={name: report[name] for name in ("steps", "tokens", "parameters")},
        values={
            "final_val_loss": report["val_loss"],
            "epochs": report["epochs"],
            "training_s": seconds,
            "mean_tokens_per_s": report["tokens"] / seconds,
            "peak_rss_mb": clock["peak_rss_mb"],
        },
        facts={
            "stop_rule": report["rule"],
            "stop_reason": report["reason"],
            "verdict": report["verdict"],
            **({"edits": json.dumps(report["edits"])} if report["edits"] else {}),
            **{name: str(report[name]) for name in ("weights", "device", "precision", "compiled", "threads", "ranks")},
        },
    )
