"""The parameters of a training that starts from an earlier model: its tokenizer, a replay of old text, a new warm-up.

Rates rise again from zero and fall again, and old text is replayed, which together come near to training on everything
from scratch (Ibrahim et al. 2024, "Simple and Scalable Strategies to Continually Pre-train Large Language Models").
Phases that learn from examples follow as they are set, on all the examples there are.
"""

from collections.abc import Mapping
from pathlib import Path

from params.model import ModelParams
from params.objective import FROM_EXAMPLES
from params.pipeline import PipelineParams
from params.shard import ShardParams
from params.stop import StopParams
from params.train import PhaseParams, TrainParams
from tasks.arrivals.withdrawal import NEW

_FEWEST_BYTES = 16_000_000


def warm_recipe(
    p: PipelineParams, *, start: str, tokenizer: Path, sizes: Mapping[str, int], only_examples: bool = False
) -> PipelineParams:
    """`p` for a training from the weights `start`; `sizes` are the bytes of training text by source.

    With `only_examples` the phases that learn from text are left out.
    """
    mixture = replay_mixture(p.shard.mixture, sizes, replay=p.retrain.replay)
    repeats = p.shard.max_repeats if p.shard.mixture else 1.0
    shard = p.shard.model_dump() | {"mixture": mixture, "max_repeats": repeats}
    shard["shuffle_seed"] = 1 if p.shard.shuffle_seed is None else p.shard.shuffle_seed
    return p.model_copy(
        update={
            "train_tokenizer": p.train_tokenizer.model_copy(update={"from_path": str(tokenizer)}),
            "shard": ShardParams.model_validate(shard),
            "train": _train(p, start, sizes, only_examples=only_examples),
        }
    )


def whole_recipe(p: PipelineParams, sizes: Mapping[str, int]) -> PipelineParams:
    """`p` for training on everything from scratch: new text of a source has the weight of that source."""
    if p.shard.mixture is None:
        return p
    mixture = whole_mixture(p.shard.mixture, sizes)
    return p.model_copy(update={"shard": p.shard.model_copy(update={"mixture": mixture})})


def replay_bytes(p: PipelineParams, new_bytes: int) -> int:
    """Most bytes of one old source that a warm start may come to read: its share, for as often as new text is read.

    Hashes draw documents, not bytes, so a quarter more is kept, and never less than makes a fair sample.
    """
    repeats = p.shard.max_repeats if p.shard.mixture else 1.0
    share = p.retrain.replay / (1 - p.retrain.replay)
    return max(round(1.25 * repeats * share * new_bytes), _FEWEST_BYTES)


def replay_mixture(weights: Mapping[str, float] | None, sizes: Mapping[str, int], *, replay: float) -> dict[str, float]:
    """Weights of old and new text: `replay` of all tokens is old text, or all of it where there is less.

    Within old and new, sources stand as their weights say, else as their sizes do.
    """
    old = _within({name: size for name, size in sizes.items() if not name.endswith(NEW)}, weights)
    new = _within({name: size for name, size in sizes.items() if name.endswith(NEW)}, weights)
    old_bytes, new_bytes = (sum(sizes[name] for name in part) for part in (old, new))
    share = min(replay, old_bytes / max(old_bytes + new_bytes, 1)) if new else 1.0
    shares = {name: part * share for name, part in old.items()} | {
        name: part * (1 - share) for name, part in new.items()
    }
    return dict(sorted(shares.items()))


def whole_mixture(weights: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """The weight of each source, shared by its old and new text according to their sizes."""
    whole = {name: sum(size for part, size in sizes.items() if _plain(part) == name) for name in map(_plain, sizes)}
    return {name: weights.get(_plain(name), 0.0) * size / max(whole[_plain(name)], 1) for name, size in sizes.items()}


def _within(sizes: Mapping[str, int], weights: Mapping[str, float] | None) -> dict[str, float]:
    raw = {name: float(size) if weights is None else weights.get(_plain(name), 0.0) for name, size in sizes.items()}
    total = sum(raw.values())
    return {name: weight / total for name, weight in raw.items()} if total else dict.fromkeys(raw, 0.0)


def _train(p: PipelineParams, start: str, sizes: Mapping[str, int], *, only_examples: bool) -> TrainParams:
    """The section train: the first phase begins with the weights `start`, text is read so many times at most."""
    train = p.train
    if all(step.objective in FROM_EXAMPLES for step in p.steps):  # they adapt given weights, and do so again
        return train
    phases = [phase for phase in train.phases if _learns_from_examples(train, phase) or not only_examples]
    is_first = phases[:1] == list(train.phases[:1])
    return TrainParams.model_validate(
        train.model_dump()
        | {
            "model": ModelParams(from_weights=start, lora=train.model.lora if is_first else None).model_dump(),
            "stop": _bounded(train.stop, p.retrain.epochs).model_dump(),
            "phases": [_replayed(phase, p, sizes).model_dump(exclude_unset=True) for phase in phases],
        }
    )


def _replayed(phase: PhaseParams, p: PipelineParams, sizes: Mapping[str, int]) -> PhaseParams:
    if _learns_from_examples(p.train, phase):
        return phase.model_copy(update={"stop": phase.stop or p.train.stop})
    changes: dict[str, object] = {}
    if phase.mixture is not None:
        changes["mixture"] = replay_mixture(phase.mixture, sizes, replay=p.retrain.replay)
    if phase.stop is not None:
        changes["stop"] = _bounded(phase.stop, p.retrain.epochs)
    return phase.model_copy(update=changes)


def _learns_from_examples(train: TrainParams, phase: PhaseParams) -> bool:
    return (phase.objective or train.objective) in FROM_EXAMPLES


def _bounded(stop: StopParams, epochs: float) -> StopParams:
    """The same rules, and an end after so many passes."""
    return stop.model_copy(update={"max_epochs": min(epochs, stop.max_epochs or epochs)})


def _plain(source: str) -> str:
    return source.removesuffix(NEW)
