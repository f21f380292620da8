"""The training process: `torchrun … -m tasks.training.worker job.json`, one per rank.

It imports neither Prefect nor MLflow and talks to the stage through files and its exit code.
"""

import json
import logging
import os
import signal
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.objective import IN_CHAT
from tasks.artifacts.digest import sync, write_atomic
from tasks.artifacts.lock import locked
from tasks.artifacts.memory import PeakMemory
from tasks.training.curve import read_points, untimed
from tasks.training.job import Exit, Job
from tasks.training.parent import die_with_parent

if TYPE_CHECKING:
    from tasks.model.start import StartedModel
    from tasks.training.loop import Loop
    from tasks.training.stopping.observation import StopDecision

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
    from tasks.training.machine import know_machine
    from tasks.training.setup import plain_start, set_up

    parts = set_up(job)
    machine = know_machine(parts)
    memory = PeakMemory()  # what measuring the machine took is no part of training
    loop = Loop(parts, machine)

    def interrupt(_signal: int, _frame: object) -> None:
        loop.interrupted = True

    signal.signal(signal.SIGTERM, interrupt)
    with closing(loop.judge.outside):
        outcome = loop.run()
    if outcome.decision is not None:
        uses_best = outcome.decision.verdict != "broken" and loop.use_best_weights()
        learned = loop.whole_weights()
        if parts.accelerator.is_main_process:
            started = plain_start(parts, learned) if parts.shares_weights else parts.started
            _leave(loop, outcome.decision, started, uses_best=uses_best, peak_rss_mb=memory.read_mb())
    parts.accelerator.wait_for_everyone()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return outcome.exit


def _leave(
    loop: "Loop", decision: "StopDecision", started: "StartedModel", *, uses_best: bool, peak_rss_mb: float
) -> None:
    """Write what the stage reads: the model, the curves, and last of all the report."""
    from tasks.training.machine import doubt_ceilings
    from tasks.training.objective import precision_name

    parts, job, progress = loop.parts, loop.parts.job, loop.progress
    num_parameters = sum(p.numel() for p in parts.model.parameters())
    if decision.verdict != "broken":
        _save_model(job, started)
    points = list(read_points(loop.curve.path))
    write_atomic(job.out / "curve.jsonl", untimed(points))
    doubt_ceilings(parts, points)
    clock = {"elapsed_s": loop.clock.elapsed_s, "peak_rss_mb": peak_rss_mb}
    write_atomic(job.out / "logs" / "clock.json", json.dumps(clock))
    report = {
        **asdict(decision),
        "steps": progress.step,
        "tokens": progress.step * parts.tokens_per_step,
        "epochs": round(parts.order.epochs(progress.step), 4),
        "edits": progress.edits,
        "skipped_steps": progress.skipped_steps,
        "rates": asdict(parts.rates),
        "weights": f"best, step {progress.best_step}" if uses_best else "last",
        "val_loss": progress.best_val_loss if uses_best else progress.last_val_loss,
        "metrics": progress.best_metrics if uses_best else progress.last_metrics,
        "parameters": num_parameters,
        "device": str(parts.accelerator.device),
        "precision": precision_name(parts.dtype),
        "compiled": parts.compiled,
        "threads": job.threads,
        "micro_blocks": loop.machine.micro_blocks,
        "ranks": parts.accelerator.num_processes,
        "parallel": job.settings.parallel,
    }
    write_atomic(job.out / "stop.json", json.dumps(report, indent=1))


def _save_model(job: Job, started: "StartedModel") -> None:
    from tasks.model.start import save_model
    from tasks.tokenizer.files import copy_tokenizer

    folder, adapter = job.out / "model", job.out / "adapter"
    if job.params.objective in IN_CHAT:
        _stop_at_the_end_of_an_answer(job, started)
    save_model(started, folder, adapter_folder=adapter)
    copy_tokenizer(job.tokenizer, folder)
    for path in (*folder.iterdir(), *(adapter.iterdir() if adapter.exists() else ())):
        sync(path)


def _stop_at_the_end_of_an_answer(job: Job, started: "StartedModel") -> None:
    """Let generation end where the chat template ends an answer, as well as at the end of a text."""
    from tasks.examples.template import ChatTemplate

    settings: Any = started.model.generation_config
    known = settings.eos_token_id
    ends = {*(known if isinstance(known, list) else [known]), ChatTemplate(job.tokenizer).end} - {None}
    settings.eos_token_id = sorted(ends) if len(ends) > 1 else ends.pop()


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(Path(sys.argv[1])))
