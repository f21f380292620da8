"""Writing a variant's graph."""

from pathlib import Path

import onnx
from onnx import ModelProto

GRAPH = "model.onnx"
_INLINE_BYTES = 1024


def save_graph(model: ModelProto, out: Path, name: str = GRAPH) -> None:
    """Write a graph into the folder `out`, its weights in a file of their own beside it."""
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model,
        out / name,
        save_as_external_data=True,
        location=f"{name}.data",
        size_threshold=_INLINE_BYTES,
    )
