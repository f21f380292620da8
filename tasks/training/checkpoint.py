"""Checkpoints: whole or not there, checked by digest, the newest good one is used."""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tasks.artifacts.digest import commit, digest_file, sync, write_atomic

log = logging.getLogger(__name__)
_SEAL = "seal.json"


@dataclass
class Progress:
    """Everything but tensors that resuming needs."""

    step: int = 0
    decay_from: int | None = None
    end: int | None = None
    stop_states: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, str] | None = None
    """The stop decision that began an early decay."""
    window: list[float] = field(default_factory=list)
    """Losses since the last recorded point of the curve."""
    decision: dict[str, str] | None = None
    """The stop decision that ended the run: resuming it trains no further."""
    lr_scale: float = 1.0
    """What a person set the learning rates to, as a factor of the schedule's."""
    edits: list[dict[str, Any]] = field(default_factory=list)
    """What a person changed at which step; it holds from there on."""
    best_val_loss: float | None = None
    best_step: int | None = None
    last_val_loss: float | None = None


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
) -> Path:
    """Write `root/step-N` atomically and durably, then forget all but the newest `keep`."""
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
    files = {path.name: digest_file(path) for path in sorted(temporary.iterdir())}
    for path in temporary.iterdir():
        sync(path)
    write_atomic(temporary / _SEAL, json.dumps(files, indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    commit(temporary, folder)
    for old in checkpoint_folders(root)[:-keep]:
        shutil.rmtree(old)
    return folder


def save_best(root: Path, weights: dict[str, torch.Tensor]) -> None:
    """Keep the weights of the best evaluation so far."""
    root.mkdir(parents=True, exist_ok=True)
    temporary = root / "best.safetensors.tmp"
    save_file(weights, temporary)
    commit(temporary, root / "best.safetensors")


def load_best(root: Path) -> dict[str, torch.Tensor]:
    """The weights of the best evaluation."""
    return load_file(root / "best.safetensors")


def newest_checkpoint(root: Path) -> Checkpoint | None:
    """The newest checkpoint whose files match their digests; a damaged one is passed over, and said so."""
    for folder in reversed(checkpoint_folders(root)):
        problem = _problem(folder)
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


def _problem(folder: Path) -> str | None:
    try:
        files: dict[str, str] = json.loads((folder / _SEAL).read_text())
    except (OSError, ValueError) as error:
        return f"its seal cannot be read: {error}"
    if missing := files.keys() - {path.name for path in folder.iterdir()}:
        return f"missing {', '.join(sorted(missing))}"
    wrong = [name for name, digest in files.items() if digest_file(folder / name) != digest]
    return f"{', '.join(wrong)} changed since they were written" if wrong else None
