"""What the training process is told, and how it ends."""

from enum import IntEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from params.run import RunParams
from params.train import TrainParams
from tasks.artifacts.digest import write_atomic


class Exit(IntEnum):
    """Exit codes of the training process."""

    FINISHED = 0
    """A stop rule decided; stop.json has its verdict."""
    INTERRUPTED = 75
    """Asked to stop: everything is saved, the same command goes on from here."""


def newest_step(out: Path) -> int | None:
    """The step of the newest checkpoint in a folder of training; None where there is none yet."""
    sealed = (path.parent for path in out.glob("checkpoints/step-*/seal.json") if not path.parent.suffix)
    return max((int(folder.name.removeprefix("step-")) for folder in sealed), default=None)


class Job(BaseModel):
    """The training process reads this file, and nothing else, to know what to do."""

    model_config = ConfigDict(frozen=True)
    params: TrainParams
    settings: RunParams
    shards: Path
    """Folder of the token shards."""
    tokenizer: Path
    """Folder of the tokenizer."""
    start: Path | None = None
    """Folder of the model to start from; None to start from scratch."""
    weights: Path | None = None
    """Folder of the checked weights that the parameters name; None to start from scratch."""
    out: Path
    """Folder to leave model, curves and checkpoints in."""
    threads: int
    """Threads per rank."""
    cache: Path
    """Folder of what is known of this machine: may be removed at any time."""
    orders: Path
    """File of what a person asks of the run."""
    orders_seen: int = 0
    """Bytes of that file that were there when this training began."""

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.out / "checkpoints"

    @property
    def best(self) -> Path:
        """Folder of the weights of the best evaluation."""
        return self.out / "best"

    def save(self, path: Path) -> None:
        """Write the job for the training process."""
        write_atomic(path, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what the training stage wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
