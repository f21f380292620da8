"""Which model a path stands for: a transformers folder, an ONNX variant, a result of training or its checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import torch

from params.errors import ModelFileError
from tasks.artifacts.digest import digest_entries, digest_file
from tasks.evaluation.language_model import LanguageModel
from tasks.serving.generator import BUNDLE, DECODER, GRAPH, PromptError, served_folder

TRANSFORMERS = "transformers"
"""Names the trained weights of a bundle, where others name an ONNX variant."""
_MODEL, _WEIGHTS = "model", "weights.safetensors"


@dataclass(frozen=True)
class Located:
    """Files that make a model."""

    folder: Path
    kind: str
    """transformers, checkpoint or the name of an ONNX variant."""
    weights: Path | None = None
    """Of a checkpoint, whose configuration and tokenizer are those of the folder."""

    @property
    def digest(self) -> str:
        """Of what decides the figures: every file beside the model, weights included."""
        paths = [path for path in sorted(self.folder.iterdir()) if path.is_file()]
        paths += [self.weights] if self.weights is not None else []
        return digest_entries((path.name, path.stat().st_size, digest_file(path)) for path in paths)[:32]

    def load(self, *, threads: int, device: torch.device) -> LanguageModel:
        """The model, ready to be measured; ONNX runs on the processor."""
        from tasks.evaluation.served_model import ServedModel
        from tasks.evaluation.trained_model import TrainedModel

        if _has_graph(self.folder):
            return ServedModel(self.folder, threads=threads)
        return TrainedModel(self.folder, weights=self.weights, threads=threads, device=device)


def locate_model(path: Path, variant: str | None = None) -> Located:
    """What lies at a path; raises ModelFileError with what it may be."""
    if (path / _WEIGHTS).is_file() and path.parent.name == "checkpoints":
        return _checkpoint(path)
    if variant != TRANSFORMERS and (_has_graph(path) or (path / BUNDLE).is_file()):
        try:
            folder = served_folder(path, variant)
        except PromptError as error:
            raise ModelFileError(str(error)) from None
        return Located(folder, folder.name)
    if variant not in (None, TRANSFORMERS):
        raise ModelFileError(f"{path}: no variant {variant}; only released bundles have variants")
    for folder in (path, path / TRANSFORMERS, path / _MODEL):
        if (folder / "config.json").is_file():
            return Located(folder, TRANSFORMERS)
    raise ModelFileError(
        f"{path} holds no model: neither config.json (transformers), {GRAPH} (ONNX), {BUNDLE} (released) nor "
        f"{_WEIGHTS} (checkpoint)"
    )


def _has_graph(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (GRAPH, DECODER))


def _checkpoint(path: Path) -> Located:
    model = path.parents[1] / _MODEL
    if not (model / "config.json").is_file():
        raise ModelFileError(f"{path}: its training has not left {model} yet, which has configuration and tokenizer")
    return Located(model, "checkpoint", path / _WEIGHTS)
