"""Matrix products in 8 bits, with one scale per output for weights and one per tensor, found as it runs, for inputs."""

import logging
import tempfile
import warnings
from pathlib import Path

import onnx

from tasks.compression.normalize import normalize_graph
from tasks.compression.saving import GRAPH

_OPERATORS = ("MatMul", "Gather")


def quantize_dynamically(source: Path, out: Path, *, graph: str = GRAPH) -> None:
    """Write the graph of `source` with 8-bit weights per channel and activations rounded when they are known.

    Unsigned weights: with signed ones processors without VNNI saturate in between.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source / graph)
    normalize_graph(model)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gristmill-dynamic-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = Path(folder) / "model.onnx"
        onnx.save(model, plain, save_as_external_data=True, location="model.onnx.data")
        root.addFilter(_nothing)  # advice on preparing graphs, which ours need not; other loggers speak on
        try:
            quantize_dynamic(
                plain,
                out / graph,
                op_types_to_quantize=list(_OPERATORS),
                per_channel=True,
                weight_type=QuantType.QUInt8,
                use_external_data_format=True,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            root.removeFilter(_nothing)
            root.handlers[:] = handlers
            root.setLevel(level)


def _nothing(_record: logging.LogRecord) -> bool:
    return False
