"""Writing a variant's graph."""

from pathlib import Path

import onnx
from onnx import ModelProto

_INLINE_BYTES = 1024


def save_graph(model: ModelProto, out: Path) -> None:
    """Write out/model.onnx, its weights in a file of their own beside it."""
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model,
        out / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=_INLINE_BYTES,
    )
