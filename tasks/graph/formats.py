"""Other files of the trained model than the ONNX graph, each read back and compared before it counts."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from params.errors import ExportError
from tasks.graph.build import child_environment
from tasks.graph.checks import Check
from tasks.graph.gguf_file import read_gguf, write_gguf
from tasks.graph.reference import TrainedModel

FILES = {"gguf": "model.gguf", "pt2": "model.pt2", "torchscript": "model.pt"}
"""File of each format, in a folder of its name."""


def write_formats(
    names: Sequence[str], reference: TrainedModel, *, source: Path, out: Path, logs: Path
) -> dict[str, Path]:
    """Write the model of `source` in these formats; raises ExportError with the reason for one that cannot be."""
    made = {name: out / name / FILES[name] for name in names}
    for name, path in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "gguf":
            write_gguf(reference.model, source, path)
        else:
            _write_program(name, source, path, logs / f"{name}.log")
    return made


def check_formats(
    paths: dict[str, Path], reference: TrainedModel, blocks: Sequence[list[int]], *, max_logit_difference: float
) -> Iterator[Check]:
    """Logits of each file on held-out blocks, in two steps with a cache where it has one."""
    for name, path in paths.items():
        logits = _read_gguf(path, reference) if name == "gguf" else _Program(name, path, reference)
        differences = [np.abs(logits(block) - reference.logits(block)).max() for block in blocks]
        yield Check(f"{name}_logits", float(np.max(differences)), max_logit_difference, f"{len(blocks)} blocks")


def _write_program(name: str, source: Path, path: Path, log_path: Path) -> None:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "tasks.graph.torch_program", name, str(source), str(path)]
    with log_path.open("wb") as log:
        ended = subprocess.run(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=child_environment(), check=False
        )
    if ended.returncode or not path.exists():
        last = "\n".join(log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:])
        raise ExportError(
            f"export.formats: {name} of {source} could not be written:\n{last}\n"
            f"the whole output is in {log_path}; leave {name} out, ONNX needs it not"
        )


def _read_gguf(path: Path, reference: TrainedModel) -> Any:
    return TrainedModel.of(read_gguf(path, reference.model)).logits


class _Program:
    """Logits of a program of torch: the first third of a block, then the rest with the cache of that."""

    def __init__(self, name: str, path: Path, reference: TrainedModel) -> None:
        from tasks.graph.torch_program import empty_past, load_program

        self._run = load_program(name, path)
        self._past = empty_past(reference.model.config, 1)

    def __call__(self, block: Sequence[int]) -> Any:
        cut = max(1, len(block) // 3)
        found, past = list[Any](), self._past
        with torch.inference_mode():
            for start, stop in ((0, cut), (cut, len(block))):
                tokens, positions = torch.tensor([block[start:stop]]), torch.arange(start, stop)[None]
                logits, *past = self._run(tokens, torch.ones(1, stop, dtype=torch.int64), positions, past)
                found.append(logits[0].numpy())
        return np.concatenate(found)
