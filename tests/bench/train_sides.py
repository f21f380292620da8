"""The sides of bench_train.py: our training stage with its child process, and the peers in processes of their own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import train_text

from params.model import ModelParams
from params.run import RunParams
from params.train import TrainParams
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.training.curve import read_points

HERE = Path(__file__).parent
CONTEXT = train_text.CONTEXT
EVAL_BLOCKS = 128
NEVER = 10**9
RECORDED = 2


@dataclass(frozen=True)
class Outcome:
    """What a run needed and what it learned."""

    loss: float
    """Validation loss, nats per token."""
    tokens: int
    steps: int
    train_s: float
    """Wall time of all steps with data, checkpoints and logging, at the rate after the first two; start-up,
    compilation (of both sides, where they compile) and the final evaluation are left out."""
    wall_s: float
    """Everything, from the start of the process."""

    @property
    def tokens_per_s(self) -> float:
        """Rate of training."""
        return self.tokens / self.train_s


class Measured:
    """Outcomes by what was run, in a file, so that a benchmark of hours can be stopped and go on."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        if not resume:
            path.unlink(missing_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self._outcomes = {key: Outcome(**found) for key, found in map(json.loads, lines)}

    def get(self, task: dict[str, Any], run: Callable[[], Outcome]) -> Outcome:
        """What was measured, or is now."""
        key = json.dumps(task, sort_keys=True)
        if key not in self._outcomes:
            self._outcomes[key] = run()
            with self._path.open("a") as file:
                file.write(json.dumps([key, asdict(self._outcomes[key])]) + "\n")
        return self._outcomes[key]


@dataclass
class Sides:
    """Runs of one model on one text."""

    folder: Path
    text: train_text.Text
    threads: int
    measured: Measured

    def ours(self, model: ModelParams, tokens: int, *, seed: int, **recipe: Any) -> Outcome:
        """Train through the stage itself: job file, torchrun, worker, loop, checkpoints; in a fresh folder."""
        defaults = {"model": model.model_dump(), "seed": seed, "stop": {"max_tokens": tokens}}
        quiet = {"record_every_steps": RECORDED, "eval_every_steps": NEVER, "eval_blocks": EVAL_BLOCKS}
        params = TrainParams.model_validate(defaults | quiet | recipe)
        task = {"kind": "ours", "params": params.model_dump(mode="json"), "threads": self.threads}
        return self.measured.get(task, lambda: self._note("ours", recipe, self._train(params)))

    def trainer(self, model: ModelParams, tokens: int, *, seed: int, batch_blocks: int = 8, **recipe: Any) -> Outcome:
        """Train with transformers' Trainer; without a recipe as it does by default."""
        return self._peer("trainer", model, tokens, seed, batch_blocks, recipe)

    def bare(self, model: ModelParams, tokens: int, *, optimizer: str, turn: int, batch_blocks: int = 8) -> Outcome:
        """Train in a loop of nothing but PyTorch; another turn is another seed."""
        return self._peer("bare", model, tokens, 1 + turn, batch_blocks, {"optimizer": optimizer})

    def _train(self, params: TrainParams) -> Outcome:
        from tasks.train import train

        out = self.folder / "ours"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        run = Run(Store(self.folder / "runs"), RunParams(threads=self.threads), RunRecord.begin("bench", {}))
        began = time.perf_counter()
        metrics = train.work(params, self.text.tokenizer, self.text.shards, out=out, run=run)
        wall_s = time.perf_counter() - began
        timed = [p for p in read_points(out / "logs" / "metrics.jsonl") if "time_ms" in p]
        first, last = timed[0], timed[-1]
        step_s = (last["time_ms"] - first["time_ms"]) / 1000 / (last["step"] - first["step"])
        steps = metrics.counts["steps"]
        loss, tokens = metrics.values["final_val_loss"], metrics.counts["tokens"]
        return Outcome(loss, tokens, steps, step_s * steps, wall_s)

    def _peer(
        self, kind: str, model: ModelParams, tokens: int, seed: int, batch_blocks: int, recipe: dict[str, Any]
    ) -> Outcome:
        task = {
            "kind": kind,
            "model": model.model_dump(),
            "tokenizer": str(self.text.tokenizer.folder),
            "shards": str(self.text.shards.folder),
            "tokens": tokens,
            "seed": seed,
            "batch_blocks": batch_blocks,
            "recipe": recipe,
            "bf16": kind == "bare" or bool(recipe.get("bf16")),
            "threads": self.threads,
            "eval_blocks": EVAL_BLOCKS,
        }
        return self.measured.get(task, lambda: self._note(kind, recipe, self._run_peer(task)))

    def _run_peer(self, task: dict[str, Any]) -> Outcome:
        given = json.dumps(task | {"out": str(self.folder / "peer")})
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, str(HERE / "train_peer.py"), given]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))

    def _note(self, side: str, recipe: dict[str, Any], outcome: Outcome) -> Outcome:
        rate = f"{outcome.tokens / 1e6:.3f} M tokens in {outcome.train_s:.1f} s ({outcome.tokens_per_s:,.0f}/s)"
        print(f"{side} {recipe}: loss {outcome.loss:.4f}, {rate}, {outcome.wall_s:.1f} s whole", file=sys.stderr)
        return outcome
