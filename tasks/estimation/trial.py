"""A trial: the real training process on made-up text of the real shape, for some seconds."""

import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.random import PCG64, Generator
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from params.objective import OF_ENCODER_DECODERS
from params.run import RunParams
from params.stop import StopParams
from params.train import TrainParams
from params.watch import WatchParams
from tasks.documents.shards import shard_name
from tasks.estimation.shape import ModelShape
from tasks.tokenizer.files import CONFIG, TOKENIZER
from tasks.training.curve import read_points
from tasks.training.job import Job
from tasks.training.launch import start_training

_SKIPPED = 2
"""First steps, in which kernels are compiled and buffers made."""
_FEWEST = 3
_SPAN_S = 4.0
_LIMIT_S = 240.0
_POLL_S = 0.05
_NEVER = 1 << 40
_BEGIN, _PADDING = 0, 1
_RAISED = re.compile(r"^(?:\[rank\d+\]: )?([\w.]+(?:Error|Exception)\b.*)", re.MULTILINE)
"""The first exception that a rank reports; torchrun's own comes after it."""


@dataclass(frozen=True)
class Trial:
    """What was measured."""

    step_s: float
    start_s: float
    """From the command to the end of the first step."""
    steps: int
    """Steps that were timed."""
    peak_rss_bytes: int | None
    """Of one rank; None off Linux."""


@dataclass(frozen=True)
class Failed:
    """A trial that came to nothing, and why."""

    reason: str


def run_trial(params: TrainParams, settings: RunParams, shape: ModelShape, *, threads: int) -> Trial | Failed:
    """Train as `params` say, but for the stop rules, until some seconds of steps are timed; leaves nothing behind.

    The process is the one that trains: same model, batch, optimizer, precision, compilation and ranks.
    """
    with tempfile.TemporaryDirectory(prefix="gristmill-trial-") as name:
        folder = Path(name)
        _make_tokenizer(folder / "tokenizer", shape.vocab_size)
        rng = Generator(PCG64(0))
        for split, blocks in (("train", 2 * params.batch_blocks), ("validation", 1)):
            _make_blocks(folder / "shards" / split, rng, blocks, shape)
        (folder / "out" / "logs").mkdir(parents=True)
        job = Job(
            params=_endless(params),
            settings=settings.model_copy(
                update={"home": None, "checkpoint_every_s": float(_NEVER), "watch": WatchParams(ceilings=False)}
            ),
            shards=folder / "shards",
            tokenizer=folder / "tokenizer",
            out=folder / "out",
            threads=threads,
            cache=folder / "cache",
            orders=folder / "orders.jsonl",
        )
        job.save(folder / "job.json")
        return _time(job, folder / "job.json", folder / "output.log")


def _endless(params: TrainParams) -> TrainParams:
    """No end, on token blocks: a step over packed examples of one text each takes as long."""
    encodes = params.objective in OF_ENCODER_DECODERS
    return params.model_copy(
        update={
            "objective": "span_corruption" if encodes else "language_model",
            "stop": StopParams(max_steps=_NEVER),
            "eval_every_steps": _NEVER,
            "eval_blocks": 1,
            "record_every_steps": 1,
        }
    )


def _time(job: Job, job_path: Path, output: Path) -> Trial | Failed:
    began = time.time()
    with _running(job, job_path, output) as process:
        while process.poll() is None and time.time() - began < _LIMIT_S:
            time.sleep(_POLL_S)
            at = [point["time_ms"] / 1000 for point in read_points(job.out / "logs" / "metrics.jsonl")]
            timed = len(at) - 1 - _SKIPPED
            if timed >= _FEWEST and at[-1] - at[_SKIPPED] >= _SPAN_S:
                step_s = (at[-1] - at[_SKIPPED]) / timed
                return Trial(step_s, at[0] - began, timed, _peak_rss_bytes(process.pid))
    if process.returncode == -signal.SIGKILL:
        return Failed(f"not {_SKIPPED + _FEWEST} steps in {_LIMIT_S:.0f} s")
    said = _RAISED.search(output.read_text(encoding="utf-8", errors="replace"))
    return Failed(said[1] if said else f"the training process ended with code {process.returncode}")


@contextmanager
def _running(job: Job, job_path: Path, output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The training process; its ranks end with it (see tasks.training.parent)."""
    with output.open("wb") as file:
        process = start_training(job, job_path, file)
        try:
            yield process
        finally:
            ranks = _children(process.pid)
            process.kill()
            process.wait()
            _wait_for(ranks)


def _make_tokenizer(folder: Path, vocab_size: int) -> None:
    folder.mkdir(parents=True)
    words = {"<|endoftext|>": _BEGIN, "<|pad|>": _PADDING, **{f"w{i}": i for i in range(2, vocab_size)}}
    Tokenizer(WordLevel(words, unk_token="<|pad|>")).save(str(folder / TOKENIZER))
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
    (folder / CONFIG).write_text(json.dumps(special), encoding="utf-8")


def _make_blocks(folder: Path, rng: Generator, num_blocks: int, shape: ModelShape) -> None:
    folder.mkdir(parents=True)
    blocks = rng.integers(2, shape.vocab_size, (num_blocks, shape.context + 1), dtype=np.uint32)
    blocks[:, 0] = _BEGIN
    column = pa.FixedSizeListArray.from_arrays(pa.array(blocks.reshape(-1)), shape.context + 1)
    table = pa.record_batch([column], names=["input_ids"])
    with pa.OSFile(str(folder / shard_name(0)), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_batch(table)


def _children(pid: int) -> list[int]:
    """Processes that a process started (Linux; none elsewhere)."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _peak_rss_bytes(pid: int) -> int | None:
    """The largest resident memory that any child of a process has had."""
    peaks = []
    for child in _children(pid):
        status = Path(f"/proc/{child}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peaks += [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return max(peaks, default=None)


def _wait_for(pids: list[int]) -> None:
    """Let killed ranks be gone before their folder is removed."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(_POLL_S)
