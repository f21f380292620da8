"""The training process: `torchrun … -m tasks.training.worker job.json`, one per rank.

It imports neither Prefect nor MLflow and talks to the stage through files and its exit code.
"""

import json
import logging
import os
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.artifacts.digest import sync, write_atomic
from tasks.artifacts.lock import locked
from tasks.artifacts.memory import PeakMemory
from tasks.training.curve import read_points, untimed
from tasks.training.job import Exit, Job
from tasks.training.parent import die_with_parent

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.training.loop import Loop
    from tasks.training.stopping import StopDecision

log = logging.getLogger("tasks.training")


def main(job_path: Path) -> Exit:
    """Train as the job says; the exit code tells how it ended."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger().setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    job = Job.load(job_path)
    rank = os.environ.get("RANK", "0")
    with locked(job.out / f"rank-{rank}.lock", lambda holder: log.info("waits for %s to end", holder)):
        return _train(job)


def _train(job: Job) -> Exit:
    import torch

    from tasks.training.loop import Loop
    from tasks.training.setup import set_up

    parts = set_up(job)
    loop = Loop(parts)

    def interrupt(_signal: int, _frame: object) -> None:
        loop.interrupted = True

    signal.signal(signal.SIGTERM, interrupt)
    outcome = loop.run()
    if outcome.decision is not None:
        uses_best = outcome.decision.verdict != "broken" and loop.use_best_weights()
        if parts.accelerator.is_main_process:
            _leave(loop, outcome.decision, uses_best=uses_best)
    parts.accelerator.wait_for_everyone()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return outcome.exit


def _leave(loop: "Loop", decision: "StopDecision", *, uses_best: bool) -> None:
    """Write what the stage reads: the model, the curves, and last of all the report."""
    parts, job, progress = loop.parts, loop.parts.job, loop.progress
    if decision.verdict != "broken":
        _save_model(job, parts.model)
    write_atomic(job.out / "curve.jsonl", untimed(read_points(loop.curve.path)))
    clock = {"elapsed_s": loop.clock.elapsed_s, "peak_rss_mb": PeakMemory.of_process_mb()}
    write_atomic(job.out / "logs" / "clock.json", json.dumps(clock))
    report = {
        **asdict(decision),
        "steps": progress.step,
        "tokens": progress.step * parts.tokens_per_step,
        "epochs": round(parts.order.epochs(progress.step), 4),
        "edits": progress.edits,
        "weights": f"best, step {progress.best_step}" if uses_best else "last",
        "val_loss": progress.best_val_loss if uses_best else progress.last_val_loss,
        "parameters": sum(p.numel() for p in parts.model.parameters()),
        "device": str(parts.accelerator.device),
        "precision": "bf16" if parts.bf16 else "fp32",
        "compiled": parts.compiled,
        "threads": job.threads,
        "ranks": parts.accelerator.num_processes,
    }
    write_atomic(job.out / "stop.json", json.dumps(report, indent=1))


def _save_model(job: Job, model: "PreTrainedModel") -> None:
    from transformers.utils import logging as logging_of_transformers

    from tasks.tokenizer.files import copy_tokenizer

    quiet: Any = logging_of_transformers
    quiet.disable_progress_bar()
    folder = job.out / "model"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    copy_tokenizer(job.tokenizer, folder)
    for path in folder.iterdir():
        sync(path)


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(Path(sys.argv[1])))
