"""Starting the training process and following it from outside."""

import logging
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tasks.training.curve import read_points
from tasks.training.job import Job, newest_step
from tasks.training.nodes import host_and_port
from tasks.training.parent import named_parent
from tasks.training.plain_path import plain_path

log = logging.getLogger(__name__)

TORCHRUN_LOGS = "logs/torchrun"
"""Folder that torchrun makes for itself; in the draft, so that a killed run leaves nothing elsewhere."""
WARNING = "WARNING "
"""How the training process begins a line that its user must see."""
_POLL_S = 0.2
_PATIENCE_S = 25.0
"""Prefect kills a cancelled flow 30 s after it asked; training must have saved by then."""


def run_training(
    job: Job,
    job_path: Path,
    *,
    on_points: Callable[[list[dict[str, Any]]], None],
    on_warning: Callable[[str], None],
    log_path: Path,
) -> int:
    """Run torchrun until it ends; its exit code. New curve points and warnings are handed on every few seconds.

    Any exception here (a cancel, Ctrl-C) asks training to save and leave, waits for that, and goes on.
    """
    curve, seen = job.out / "logs" / "metrics.jsonl", 0
    warnings = _new_warnings(log_path)
    with log_path.open("wb") as output:  # what an earlier attempt said would pass for what this one says
        process = start_training(job, job_path, output)
        with _ended(process, job):
            next_look = time.monotonic() + job.settings.log_every_s
            while process.poll() is None:
                time.sleep(_POLL_S)
                if time.monotonic() >= next_look:
                    next_look += job.settings.log_every_s
                    points = list(read_points(curve))
                    on_points(points[seen:])
                    seen = len(points)
                    for warning in next(warnings):
                        on_warning(warning)
            on_points(list(read_points(curve))[seen:])
            for warning in next(warnings):
                on_warning(warning)
    return process.returncode


def start_training(job: Job, job_path: Path, output: IO[bytes], *, node_rank: int = 0) -> "subprocess.Popen[bytes]":
    """The training process of a job on this machine, in a session of its own; all that it says goes to `output`."""
    return subprocess.Popen(
        command(job, job_path, node_rank=node_rank),
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment(job),
        start_new_session=True,
    )


def command(job: Job, job_path: Path, *, node_rank: int = 0) -> list[str]:
    """The torchrun command of a job on this machine."""
    settings = job.settings
    where = ["--standalone"]
    if settings.nodes > 1:
        assert settings.rendezvous is not None
        host, port = host_and_port(settings.rendezvous)
        where = [f"--nnodes={settings.nodes}", f"--node-rank={node_rank}"]
        where += [f"--master-addr={host}", f"--master-port={port}"]
    logs = job.out / TORCHRUN_LOGS if node_rank == 0 else Path(tempfile.gettempdir()) / f"torchrun-{job.out.name}"
    how = [*where, f"--nproc-per-node={settings.ranks}", "--max-restarts=0", f"--log-dir={logs}"]
    return [sys.executable, "-P", "-m", "tasks.training.agent", *how, "-m", "tasks.training.worker", str(job_path)]


def environment(job: Job) -> dict[str, str]:
    """The environment of the training process: its thread count, and no chatter."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore", "TRANSFORMERS_VERBOSITY": "error"}
    safe = {"PYTHONSAFEPATH": "1"}  # a random.py in the user's folder must not hide the standard module
    return {**os.environ, **quiet, **safe, **_compilable(), **named_parent(), "OMP_NUM_THREADS": str(job.threads)}


def _compilable() -> dict[str, str]:
    """Where torch and its compiled kernels are found without a blank in the path."""
    changed: dict[str, str] = {}
    packages = Path(sysconfig.get_path("purelib"))
    if (plain := plain_path(packages)) != packages:
        others = os.environ.get("PYTHONPATH")
        changed["PYTHONPATH"] = os.pathsep.join([str(plain), others] if others else [str(plain)])
    if cache := os.environ.get("TORCHINDUCTOR_CACHE_DIR"):
        Path(cache).mkdir(parents=True, exist_ok=True)
        changed["TORCHINDUCTOR_CACHE_DIR"] = str(plain_path(Path(cache)))
    return changed


def _new_warnings(log_path: Path) -> Iterator[list[str]]:
    """Each time it is asked: the warnings that the training process wrote since then (no compiler, damage …)."""
    at = 0
    while True:
        with log_path.open("rb") as file:
            file.seek(at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        at += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        yield [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]


@contextmanager
def _ended(process: "subprocess.Popen[bytes]", job: Job) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            end_training(process)
            step = newest_step(job.out)
            place = "the beginning" if step is None else f"step {step:,}"
            log.info("%s: interrupted; the same command goes on from %s", job.out.parent.name, place)


def end_training(process: "subprocess.Popen[bytes]") -> None:
    """Ask a training process that still runs to save and leave, and wait for that."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
