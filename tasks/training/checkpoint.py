"""Checkpoints: whole or not there, checked by digest, the newest good one is used."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tasks.artifacts.digest import commit, digest_file, sync, write_atomic

log = logging.getLogger(__name__)
SEAL = "seal.json"


@dataclass
class Progress:
    """Everything but tensors that resuming needs."""

    step: int = 0
    decay_from: int | None = None
    end: int | None = None
    replan: bool = False
    """Taken over from another run: where it ends is planned anew."""
    stop_states: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, str] | None = None
    """The stop decision that began an early decay."""
    window: list[float] = field(default_factory=list)
    """Losses since the last recorded point of the curve."""
    decision: dict[str, str] | None = None
    """The stop decision that ended the run: resuming it trains no further."""
    skipped_steps: int = 0
    """Steps' worth of data that was left out, by going back behind a spike."""
    lr_scale: float = 1.0
    """What a person set the learning rates to, as a factor of the schedule's."""
    edits: list[dict[str, Any]] = field(default_factory=list)
    """What a person changed at which step; it holds from there on."""
    best_val_loss: float | None = None
    best_step: int | None = None
    last_val_loss: float | None = None
    last_metrics: dict[str, float] = field(default_factory=dict)
    """What the last evaluation measured besides the loss."""
    best_metrics: dict[str, float] = field(default_factory=dict)
    """What the evaluation with the least loss measured besides."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk that passed its digests."""

    folder: Path
    progress: Progress
    elapsed_s: float
    configuration: dict[str, Any]

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Tensors of one file: weights, optimizer or random."""
        return load_file(self.folder / f"{name}.safetensors")


def save_checkpoint(
    root: Path,
    progress: Progress,
    *,
    weights: dict[str, torch.Tensor],
    optimizer: dict[str, torch.Tensor],
    configuration: dict[str, Any],
    elapsed_s: float,
    keep: int,
    good: Callable[[Path], bool] | None = None,
) -> Path:
    """Write `root/step-N` atomically and durably, then forget all but the newest `keep`, the one before the decay and
    the newest `good` one."""
    folder = root / f"step-{progress.step:09d}"
    temporary = root / f"{folder.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(weights, temporary / "weights.safetensors")
    save_file(optimizer, temporary / "optimizer.safetensors")
    save_file(_random_states(), temporary / "random.safetensors")
    write_atomic(temporary / "progress.json", json.dumps(asdict(progress), indent=1))
    write_atomic(temporary / "configuration.json", json.dumps(configuration, indent=1, sort_keys=True))
    write_atomic(temporary / "clock.json", json.dumps({"elapsed_s": elapsed_s}))
    seal(temporary, folder)
    folders = checkpoint_folders(root)
    newest_good = [one for one in folders if good is not None and good(one)][-1:]
    for old in folders[:-keep]:
        if old not in newest_good and not before_decay(old):
            shutil.rmtree(old)
    return folder


def seal(temporary: Path, folder: Path) -> None:
    """Give a checkpoint, written to a temporary folder, its digests and its name."""
    files = {path.name: digest_file(path) for path in sorted(temporary.iterdir())}
    for path in temporary.iterdir():
        sync(path)
    write_atomic(temporary / SEAL, json.dumps(files, indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    commit(temporary, folder)


def save_best(root: Path, weights: dict[str, torch.Tensor]) -> None:
    """Keep the weights of the best evaluation so far."""
    root.mkdir(parents=True, exist_ok=True)
    temporary = root / "best.safetensors.tmp"
    save_file(weights, temporary)
    commit(temporary, root / "best.safetensors")


def load_best(root: Path) -> dict[str, torch.Tensor]:
    """The weights of the best evaluation."""
    return load_file(root / "best.safetensors")


def newest_checkpoint(root: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Checkpoint | None:
    """The newest wanted checkpoint whose files match their digests; a damaged one is passed over, and said so."""
    for folder in filter(wanted, reversed(checkpoint_folders(root))):
        problem = problem_of(folder)
        if problem is None:
            return Checkpoint(
                folder,
                Progress(**json.loads((folder / "progress.json").read_text())),
                json.loads((folder / "clock.json").read_text())["elapsed_s"],
                json.loads((folder / "configuration.json").read_text()),
            )
        log.warning("checkpoint %s is damaged (%s); the one before it is used", folder.name, problem)
    return None


def checkpoint_folders(root: Path) -> list[Path]:
    """Folders of the checkpoints, oldest first."""
    return sorted(path for path in root.glob("step-*") if path.suffix != ".tmp")


def before_decay(folder: Path) -> bool:
    """Whether a checkpoint stands where the learning rate begins to fall: from there a run can be made longer."""
    try:
        progress = json.loads((folder / "progress.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(progress["step"] and progress["step"] == progress["decay_from"])


def restore_random_states(checkpoint: Checkpoint) -> None:
    """Put the random generators back."""
    states = checkpoint.tensors("random")
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def _random_states() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def problem_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None when its files match their digests."""
    try:
        files: dict[str, str] = json.loads((folder / SEAL).read_text())
    except (OSError, ValueError) as error:
        return f"its seal cannot be read: {error}"
    if missing := files.keys() - {path.name for path in folder.iterdir()}:
        return f"missing {', '.join(sorted(missing))}"
    wrong = [name for name, digest in files.items() if digest_file(folder / name) != digest]
    return f"{', '.join(wrong)} changed since they were written" if wrong else None
