"""Weights stored in 16 bits: half the file, the arithmetic as before."""

from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from params.errors import ExportError
from tasks.compression.saving import GRAPH, save_graph

KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
_SMALLEST = 1024
"""Weights of fewer values stay as they are: norms and biases, which weigh nothing."""
_FP16_MAX = 65504.0


def halve_weights(source: Path, out: Path, *, kind: str, graph: str = GRAPH) -> None:
    """Write the graph of `source` with its large float32 weights in fp16 or bf16, each cast back where it is used.

    onnxruntime's CPU provider has few 16-bit kernels, so the casts are folded when the file is loaded and all is
    computed in float32: nothing is lost but the bits of the weights, and nothing is faster but the download. Raises
    ExportError for a weight that fp16 cannot hold.
    """
    model = onnx.load(source / graph)
    casts = [_halve(model, tensor, kind) for tensor in _large(model.graph)]
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    save_graph(model, out, graph)


def _large(graph: GraphProto) -> list[TensorProto]:
    return [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and np.prod(t.dims) >= _SMALLEST]


def _halve(model: ModelProto, tensor: TensorProto, kind: str) -> onnx.NodeProto:
    """Put the 16-bit values under a new name in the weight's place; a cast gives it back under its own."""
    name, array = tensor.name, numpy_helper.to_array(tensor)
    if kind == "fp16" and (largest := float(np.abs(array).max())) > _FP16_MAX:
        raise ExportError(
            f"compress.variants: {name} holds {largest:g}, and fp16 ends at {_FP16_MAX:g}; take bf16 in its place"
        )
    stored = helper.make_tensor(f"{name}/{kind}", KINDS[kind], array.shape, _bits(array, kind).tobytes(), raw=True)
    tensor.CopyFrom(stored)
    return helper.make_node("Cast", [stored.name], [name], name=f"{name}/cast", to=TensorProto.FLOAT)


def _bits(array: "np.ndarray", kind: str) -> "np.ndarray":
    """The 16 bits of each value, rounded to the nearest, ties to even."""
    if kind == "fp16":
        return array.astype(np.float16)
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
