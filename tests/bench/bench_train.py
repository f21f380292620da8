"""Training against transformers' Trainer, the best AdamW recipe and a bare loop: make bench-train.

    make bench-train ARGS="--seeds 3 --folder ~/.cache/gristmill-bench/train"
    make bench-train ARGS=--quick        some minutes: a smaller model, fewer tokens, one seed
    make bench-train ARGS="--only default --seeds 1"
    make bench-train ARGS=--resume       go on with what a call that was stopped has measured (hours on a laptop)

Prints `BENCH name value unit` lines; ratios are theirs over ours. Every run is a process of its own, on the same model,
text, blocks and document masks; ours is the `train` stage with its worker, checkpoints and logging. Each side's seed
sets its data order and first weights, its validation loss comes from the same code over the same blocks.

time_vs_trainer_default: the Trainer as it comes (AdamW 5e-5, linear, batch 8, fp32, eager) sees one million tokens; its
validation loss is the target, and ours has the time of the smallest budget of tokens that reaches it.
time_vs_trainer_tuned: the same against the Trainer with bf16, torch.compile and cosine at the best rate of a sweep.
time_vs_adamw: ours against our own loop with AdamW, both to the tuned target. Times are wall time of training without
start-up and compilation; `…_whole` counts those as well, from the start of the process to its end.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import torch  # noqa: E402
import train_text  # noqa: E402
from train_peak import matrix_peak, step_flops  # noqa: E402
from train_sides import CONTEXT, Measured, Outcome, Sides  # noqa: E402

from params.model import ModelParams  # noqa: E402
from tasks.context import num_cores  # noqa: E402

MODELS = {
    "3m": ModelParams(layers=5, width=192, heads=3),
    "12m": ModelParams(layers=6, width=384, heads=6),
    "50m": ModelParams(layers=10, width=640, heads=10),
}
TUNED = {"bf16": True, "torch_compile": True, "lr_scheduler_type": "cosine", "warmup_steps": 0.03}
RUNG = 1.08
"""How near the budget of tokens found is to the smallest that suffices."""
STEP_TOKENS, MIN_STEPS = 8 * CONTEXT, 5


@dataclass(frozen=True)
class Plan:
    """Sizes of a benchmark; budgets are where the search for the smallest that suffices begins."""

    model: str
    default_tokens: int
    tuned_tokens: int
    ours_to_default: int
    ours_to_tuned: int
    adamw_to_tuned: int
    rate_steps: int
    step_models: tuple[str, ...]
    learning_rates: tuple[float, ...]


FULL = Plan("12m", 1_000_000, 1_200_000, 54_000, 248_000, 600_000, 60, ("3m", "12m", "50m"), (5e-4, 1e-3, 2e-3))
QUICK = Plan("3m", 120_000, 120_000, 16_000, 40_000, 90_000, 20, ("3m",), (2e-3,))


def main() -> None:
    arguments = parse()
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as scratch:
        text = train_text.make_text(arguments.folder)
        measured = Measured(arguments.folder / "measured.jsonl", resume=arguments.resume)
        sides = Sides(Path(scratch), text, arguments.threads or num_cores(), measured)
        bench("text.tokens", text.shards.metrics.counts["train_tokens"], "tokens")
        seeds = range(1, 1 + (1 if arguments.quick else arguments.seeds))
        for name in arguments.only:
            PARTS[name](sides, plan, seeds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--resume", action="store_true", help="take what the last call measured before it was stopped")
    parser.add_argument("--threads", type=int, help="of every side; one per core when left out")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "gristmill-bench" / "train")
    return parser.parse_args()


def bench_default(sides: Sides, plan: Plan, seeds: range) -> None:
    """Time to the loss of the Trainer as it comes, one seed after the other, the sides in turn."""
    model, ratios, guess = MODELS[plan.model], Ratios(), plan.ours_to_default
    for seed in seeds:
        theirs = sides.trainer(model, plan.default_tokens, seed=seed)
        fast = reach(theirs.loss, guess, ours(sides, model, seed))
        ratios.note("time_vs_trainer_default", theirs, fast)
        guess = fast.tokens
    ratios.report()


def bench_tuned(sides: Sides, plan: Plan, seeds: range) -> None:
    """Time to the loss of the tuned Trainer, ours with the default recipe."""
    ratios = Ratios()
    for _seed, tuned, fast in to_tuned(sides, plan, seeds):
        ratios.note("time_vs_trainer_tuned", tuned, fast)
    ratios.report()


def bench_adamw(sides: Sides, plan: Plan, seeds: range) -> None:
    """Time to the loss of the tuned Trainer, ours with AdamW against ours with the default recipe."""
    model, ratios, guess = MODELS[plan.model], Ratios(), plan.adamw_to_tuned
    for seed, tuned, fast in to_tuned(sides, plan, seeds):
        adamw = reach(tuned.loss, guess, ours(sides, model, seed, optimizer={"name": "adamw"}))
        ratios.note("time_vs_adamw", adamw, fast)
        guess = adamw.tokens
    ratios.report()


def to_tuned(sides: Sides, plan: Plan, seeds: range) -> Iterator[tuple[int, Outcome, Outcome]]:
    """For each seed the tuned Trainer, and ours to its loss; measured once, whichever part asks first."""
    model, rate, guess = MODELS[plan.model], best_rate(sides, plan), plan.ours_to_tuned
    for seed in seeds:
        tuned = sides.trainer(model, plan.tuned_tokens, seed=seed, learning_rate=rate, **TUNED)
        fast = reach(tuned.loss, guess, ours(sides, model, seed))
        yield seed, tuned, fast
        guess = fast.tokens


class Ratios:
    """Theirs over ours, by name, one for each seed."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def note(self, name: str, theirs: Outcome, ours: Outcome) -> None:
        """Of the time, of the time with all around it, and of the tokens."""
        self._values.setdefault(name, []).append(theirs.train_s / ours.train_s)
        self._values.setdefault(f"{name}_whole", []).append(theirs.wall_s / ours.wall_s)
        self._values.setdefault(f"{name}_tokens", []).append(theirs.tokens / ours.tokens)

    def report(self) -> None:
        """The middle one, and how far the seeds lie apart."""
        for name, values in self._values.items():
            bench(name, statistics.median(values), "x")
            if len(values) > 1:
                bench(f"{name}_spread", max(values) - min(values), "x")


def best_rate(sides: Sides, plan: Plan) -> float:
    """The learning rate at which the tuned Trainer ends lowest; the run with the first seed is timed as well."""
    model = MODELS[plan.model]
    losses = {
        rate: sides.trainer(model, plan.tuned_tokens, seed=1, learning_rate=rate, **TUNED).loss
        for rate in plan.learning_rates
    }
    best = min(losses, key=losses.__getitem__)
    bench("trainer_tuned_learning_rate", best, "")
    return best


def ours(sides: Sides, model: ModelParams, seed: int, **recipe: object) -> Callable[[int], Outcome]:
    """Our run as a function of its budget of tokens."""
    return lambda tokens: sides.ours(model, tokens, seed=seed, **recipe)


def reach(target: float, guess: int, train: Callable[[int], Outcome]) -> Outcome:
    """The run with the smallest budget of tokens, within RUNG or a step, that ends at `target` or below.

    From `guess` the budget goes up or down in strides that double, then by halves between a miss and a hit.
    """
    steps, missed, stride = guess // STEP_TOKENS, MIN_STEPS - 1, RUNG
    reached: Outcome | None = None
    while reached is None or reached.steps > max(RUNG * missed, missed + 1):
        outcome = train(steps * STEP_TOKENS)
        if outcome.loss > target:
            missed = outcome.steps
        else:
            reached = outcome
        if reached is None:
            steps = max(missed + 1, round(missed * stride))
        elif missed < MIN_STEPS:
            steps = max(MIN_STEPS, min(reached.steps - 1, round(reached.steps / stride)))
        else:
            steps = min(reached.steps - 1, max(missed + 1, round((reached.steps * missed) ** 0.5)))
        stride *= stride
    return reached


def bench_rates(sides: Sides, plan: Plan, _seeds: range) -> None:
    """Tokens a second against a bare loop, in turn, and as a share of what matrix products reach here.

    The two of a turn follow each other, now the one first, now the other: of their ratios the middle one is taken,
    which a machine that becomes slower half-way changes least.
    """
    model, tokens = MODELS[plan.model], plan.rate_steps * 8 * CONTEXT
    rates: dict[str, list[float]] = {}
    for turn in range(3):
        rates.setdefault("peak", []).append(matrix_peak(sides.threads))
        for name in ("adamw", "muon"):
            runs = {
                f"bare.{name}": partial(sides.bare, model, tokens, optimizer=name, turn=turn),
                f"ours.{name}": partial(
                    sides.ours, model, tokens, seed=1 + turn, optimizer={"name": name}, batch_blocks=8
                ),
            }
            for side in sorted(runs, reverse=turn % 2 == 1):
                rates.setdefault(side, []).append(runs[side]().tokens_per_s)
    best = {name: max(values) for name, values in rates.items()}
    for name in ("adamw", "muon"):
        suffix = "" if name == "adamw" else ".muon"
        pairs = zip(rates[f"ours.{name}"], rates[f"bare.{name}"], strict=True)
        bench(f"tokens_per_s.{name}", best[f"ours.{name}"], "tokens/s")
        bench(f"tokens_per_s_bare.{name}", best[f"bare.{name}"], "tokens/s")
        bench(f"speed_vs_bare_loop{suffix}", statistics.median(mine / theirs for mine, theirs in pairs), "x")
    used = best["ours.adamw"] / (8 * CONTEXT) * step_flops(model, 8, CONTEXT, train_text.VOCAB_SIZE)
    bench("matrix_peak", best["peak"] / 1e9, "GFLOP/s")
    bench("share_of_peak", used / best["peak"], "")


def bench_step_times(sides: Sides, plan: Plan, _seeds: range) -> None:
    """Milliseconds a step of 8 blocks with the default optimizer, by model size."""
    for name in plan.step_models:
        outcome = sides.ours(MODELS[name], 30 * 8 * CONTEXT, seed=1, batch_blocks=8)
        bench(f"step_time.{name}", 1000 * outcome.train_s / outcome.steps, "ms")


def bench(name: str, value: float, unit: str) -> None:
    """One figure."""
    print(f"BENCH {name} {value:.4g} {unit}".rstrip(), flush=True)


PARTS = {
    "rates": bench_rates,
    "steps": bench_step_times,
    "default": bench_default,
    "tuned": bench_tuned,
    "adamw": bench_adamw,
}

if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    main()
