"""The sides of bench_train.py: our training stage with its child process, and the peers in processes of their own."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import train_text

from params.run import RunParams
from params.train import ModelParams, TrainParams
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


@dataclass
class Sides:
    """Runs of one model on one text."""

    folder: Path
    text: train_text.Text
    threads: int
    done: list[dict[str, Any]] = field(default_factory=list)

    def ours(self, model: ModelParams, tokens: int, *, seed: int, **recipe: Any) -> Outcome:
        """Train through the stage itself: job file, torchrun, worker, loop, checkpoints; in a fresh folder."""
        from tasks.train import train

        defaults = {"model": model, "seed": seed, "stop": {"max_tokens": tokens}, "record_every_steps": RECORDED}
        params = TrainParams.model_validate(defaults | {"eval_every_steps": NEVER, "eval_blocks": EVAL_BLOCKS} | recipe)
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
        return self._note("ours", recipe, Outcome(loss, tokens, steps, step_s * steps, wall_s))

    def trainer(self, model: ModelParams, tokens: int, *, seed: int, batch_blocks: int = 8, **recipe: Any) -> Outcome:
        """Train with transformers' Trainer; without a recipe as it does by default."""
        return self._peer("trainer", model, tokens, seed, batch_blocks, recipe)

    def bare(self, model: ModelParams, tokens: int, *, optimizer: str, batch_blocks: int = 8) -> Outcome:
        """Train in a loop of nothing but PyTorch."""
        return self._peer("bare", model, tokens, 1, batch_blocks, {"optimizer": optimizer})

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
            "out": str(self.folder / "peer"),
        }
        command = [sys.executable, str(HERE / "train_peer.py"), json.dumps(task)]
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads), "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        return self._note(kind, recipe, Outcome(**json.loads(done.stdout.splitlines()[-1])))

    def _note(self, side: str, recipe: dict[str, Any], outcome: Outcome) -> Outcome:
        rate = f"{outcome.tokens / 1e6:.3f} M tokens in {outcome.train_s:.1f} s ({outcome.tokens_per_s:,.0f}/s)"
        print(f"{side} {recipe}: loss {outcome.loss:.4f}, {rate}, {outcome.wall_s:.1f} s whole", file=sys.stderr)
        return outcome
