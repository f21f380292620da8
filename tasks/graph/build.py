"""A transformers model to an ONNX graph with flat key/value inputs, built in a child process.

Both builders print, warn, and change global state (sys.path, torch's exporter registry); a process of their own
keeps that out of the pipeline's.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from params.errors import ExportError
from tasks.training.parent import named_parent

GENAI_ARCHITECTURES = ("qwen3", "llama")
"""Model types whose graphs the onnxruntime-genai builder makes; they run fastest (grouped-query attention)."""
TORCH_ARCHITECTURES = ("gpt2", "bloom")
"""Model types that go through torch's exporter."""


SEQ2SEQ_ARCHITECTURES = ("t5",)
"""Model types with an encoder and a decoder, each a graph of its own."""


def build_graph(model_folder: Path, out: Path, *, opset: int, log_path: Path) -> None:
    """Write model.onnx in float32 to `out`, its weights beside it; what the builder prints goes to `log_path`.

    Inputs are input_ids, attention_mask, past_key_values.N.key and .value (and position_ids from torch's exporter),
    outputs logits, present.N.key and .value. An encoder-decoder model becomes encoder.onnx and decoder.onnx (see
    seq2seq_builder); a classifier has tokens and mask to read and the logits of its labels to tell. Raises ExportError
    with the end of the log.
    """
    scratch = out.with_name(out.name + ".building")
    for folder in (scratch, out):
        shutil.rmtree(folder, ignore_errors=True)
    scratch.mkdir(parents=True)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", f"tasks.graph.{builder_of(model_folder)}", str(model_folder), str(scratch)]
    with log_path.open("wb") as log:
        ended = subprocess.run(
            [*command, str(opset)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=child_environment(),
            check=False,
        )
    graphs = sorted(scratch.glob("*.onnx*"))
    if ended.returncode or not graphs:
        last = "\n".join(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise ExportError(
            f"the graph of {model_folder} could not be built (exit code {ended.returncode}):\n{last}\n"
            f"the whole output is in {log_path}"
        )
    out.mkdir(parents=True)
    for path in graphs:
        path.replace(out / path.name)
    shutil.rmtree(scratch)


def builder_of(model_folder: Path) -> str:
    """The module that builds graphs of this model's architecture."""
    config = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    model_type = config["model_type"]
    if is_classifier(config) and model_type in (*GENAI_ARCHITECTURES, *TORCH_ARCHITECTURES):
        return "classifier_builder"
    if model_type in GENAI_ARCHITECTURES:
        return "genai_builder"
    if model_type in TORCH_ARCHITECTURES:
        return "torch_builder"
    if model_type in SEQ2SEQ_ARCHITECTURES:
        return "seq2seq_builder"
    known = ", ".join((*GENAI_ARCHITECTURES, *TORCH_ARCHITECTURES, *SEQ2SEQ_ARCHITECTURES))
    raise ExportError(f"{model_folder}: no way to export the architecture {model_type}; these are known: {known}")


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a transformers config.json is of a class that tells labels of whole texts."""
    return str((config.get("architectures") or [""])[0]).endswith("ForSequenceClassification")


def child_environment() -> dict[str, str]:
    """What a building process sees: no accelerator, no hub, our modules, and whom it is not to outlive."""
    repository = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (repository, os.environ.get("PYTHONPATH", "")) if part)
    steady = {
        "PYTHONHASHSEED": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **steady, **named_parent(), "PYTHONPATH": path}
