"""A new run from a checkpoint of another: with its weights, optimizer and position in the data."""

import json
import shutil
from pathlib import Path

from params.errors import ParameterError
from tasks.artifacts.digest import digest_value, write_atomic
from tasks.training.checkpoint import SEAL, checkpoint_folders, problem_of, seal

_TIMED = "clock.json"


def digest_of(checkpoint: Path) -> str:
    """A digest of what a checkpoint holds, but for the time it took."""
    _check(checkpoint)
    files = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
    return digest_value({name: digest for name, digest in files.items() if name != _TIMED})


def adopt(checkpoint: Path, root: Path) -> None:
    """Copy a checkpoint of another run among those of this one, its end forgotten; nothing where there are some."""
    if checkpoint_folders(root):
        return
    _check(checkpoint)
    temporary = root / f"{checkpoint.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(checkpoint, temporary, ignore=shutil.ignore_patterns(SEAL))
    progress = json.loads((temporary / "progress.json").read_text(encoding="utf-8"))
    forgotten = dict.fromkeys(("decision", "ending", "decay_from", "end"))
    write_atomic(temporary / "progress.json", json.dumps(progress | forgotten | {"replan": True}, indent=1))
    seal(temporary, root / checkpoint.name)


def _check(checkpoint: Path) -> None:
    if (problem := problem_of(checkpoint)) is not None:
        raise ParameterError(
            f"train.branch_from {checkpoint}: no whole checkpoint ({problem}); name a folder step-… in the checkpoints "
            "of a result of training, or let gristmill branch find it"
        )
