"""Child process: a model as a program of torch without Python classes, by torch.export (.pt2) or TorchScript (.pt).

    python -m tasks.graph.torch_program KIND MODEL_FOLDER OUT

Inputs and outputs are those of the ONNX graph: tokens, mask, positions and a list of keys and values.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from tasks.graph.torch_builder import CACHE_AXES, SHAPES, FlatCache, example_inputs
from tasks.model.packing import accept_packed_blocks
from tasks.training.parent import die_with_parent


def main(kind: str, model_folder: str, out: str) -> None:
    """Write OUT."""
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    accept_packed_blocks(model)
    wrapper, inputs = FlatCache(model).eval(), example_inputs(model.config)
    with torch.no_grad():
        if kind == "pt2":
            free = torch.export.Dim.AUTO
            shapes = (
                *(dict.fromkeys(axes, free) for axes in SHAPES),
                [dict.fromkeys(CACHE_AXES, free)] * len(inputs[-1]),
            )
            torch.export.save(torch.export.export(wrapper, inputs, dynamic_shapes=shapes, strict=False), Path(out))
        else:
            script: Any = torch.jit
            script.save(script.trace(wrapper, inputs, check_trace=False), out)


def load_program(kind: str, path: Path) -> Any:
    """A function (tokens, mask, positions, past) -> (logits, keys and values …)."""
    if kind == "pt2":
        return torch.export.load(path).module()
    script: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that TorchScript will go, docs/export.md says
        return script.load(str(path))


def empty_past(config: Any, rows: int) -> list[Tensor]:
    """A cache without tokens."""
    return [part[:rows, :, :0] for part in example_inputs(config)[-1]]


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:4])
