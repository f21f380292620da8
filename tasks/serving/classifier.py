"""Tell the labels of texts with an exported classifier: python classify.py "a text".

This file is copied into every release of a classifier as classify.py. It needs numpy, onnxruntime and tokenizers,
nothing else.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

Array = npt.NDArray[Any]
GRAPH = "model.onnx"
SETTINGS = "generation.json"
BUNDLE = "bundle.json"
_ERRORS_ONLY = 3
_BATCH_TOKENS = 4096


class TextError(ValueError):
    """A text or a setting that the model cannot take."""


class OnnxClassifier:
    """An exported folder (model.onnx, tokenizer.json, generation.json with labels) ready to run."""

    def __init__(self, folder: str | Path, *, threads: int = 1) -> None:
        """One thread is fastest for models of some ten million parameters."""
        self.folder = Path(folder)
        settings = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))
        if not settings.get("labels"):
            raise TextError(f"{folder}: this model has no labels; it is no classifier")
        self.labels: list[str] = settings["labels"]
        self.context_length, self.padding = int(settings["context_length"]), int(settings["pad_token_id"])
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # "<|endoftext|>" in a text is text, not a command
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _ERRORS_ONLY
        path = str(self.folder / GRAPH)
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def encode(self, text: str, *, truncate: bool = False) -> list[int]:
        """Token ids of a text, cut at the context where that is wanted. Raises TextError for one that does not fit."""
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not tokens:
            raise TextError("the text is empty; there is nothing to label")
        if len(tokens) > self.context_length and not truncate:
            raise TextError(
                f"the text has {len(tokens)} tokens, and the model reads {self.context_length}; shorten it, or have it "
                "truncated"
            )
        return tokens[: self.context_length]

    def logits(self, rows: Sequence[Sequence[int]]) -> Array:
        """Logits (batch, labels) of token ids in one call; shorter rows are padded on the right."""
        width = max(map(len, rows))
        tokens = np.array([[*row, *[self.padding] * (width - len(row))] for row in rows], np.int64)
        mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
        return np.asarray(self.session.run(["logits"], {"input_ids": tokens, "attention_mask": mask})[0])

    def probabilities(self, rows: Sequence[Sequence[int]]) -> Array:
        """Probabilities (rows, labels) of token ids, in batches of rows of like length."""
        made = np.empty((len(rows), len(self.labels)), np.float64)
        for places in batches([len(row) for row in rows]):
            made[places] = softmax(self.logits([rows[place] for place in places]))
        return made

    def classify(self, texts: Sequence[str], *, truncate: bool = False) -> list[dict[str, Any]]:
        """For each text the likeliest label, its probability, and the probabilities of all. Raises TextError."""
        rows = [self.encode(text, truncate=truncate) for text in texts]
        return [self.told(found) for found in self.probabilities(rows)] if rows else []

    def told(self, probabilities: Array) -> dict[str, Any]:
        """The answer to a text, the likeliest labels first."""
        order = np.argsort(-probabilities, kind="stable").tolist()
        named = {self.labels[place]: round(float(probabilities[place]), 6) for place in order}
        return {"label": self.labels[order[0]], "probability": named[self.labels[order[0]]], "probabilities": named}


def softmax(logits: Array) -> Array:
    """Probabilities (rows, labels)."""
    weights = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def batches(lengths: Sequence[int], batch_tokens: int = _BATCH_TOKENS) -> Iterator[list[int]]:
    """Places of rows, longest first, in batches that hold at most so many tokens with their padding."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    while order:
        size = max(1, batch_tokens // lengths[order[0]])
        yield order[:size]
        order = order[size:]


def served_folder(path: str | Path, variant: str | None = None) -> Path:
    """The folder of a bundle's variant (the served one unless another is named) or an exported folder itself.

    Raises TextError with what there is.
    """
    folder = Path(path)
    if (folder / GRAPH).is_file() and variant is None:
        return folder
    there = sorted(graph.parent.name for graph in folder.glob(f"onnx/*/{GRAPH}"))
    if not there or not (folder / BUNDLE).is_file():
        raise TextError(f"{folder}: neither a released bundle ({BUNDLE}, onnx/) nor a folder with {GRAPH}")
    served = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))["served"]
    name = variant or (served if served in there else there[0])
    if name not in there:
        raise TextError(f"{folder}: no variant {name}; there is {', '.join(there)}")
    return folder / "onnx" / name


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of classify.py."""
    parser = argparse.ArgumentParser(description="Tell the label of a text with the model in this folder.")
    parser.add_argument("text", nargs="+")
    parser.add_argument("--model", default=Path(__file__).resolve().parent, help="bundle or exported folder")
    parser.add_argument("--variant", help="fp32, int8 … (default: the one that is served)")
    parser.add_argument("--truncate", action="store_true", help="read what fits of a longer text")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        model = OnnxClassifier(served_folder(given.model, given.variant), threads=given.threads)
        for found in model.classify(given.text, truncate=given.truncate):
            print(f"{found['label']}\t{found['probability']:.4f}")
    except TextError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
