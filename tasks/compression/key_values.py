"""Keys and values in 8 bits: what a text keeps in memory while it is written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tasks.compression.calibrate import Array, Calibration
from tasks.compression.saving import GRAPH
from tasks.serving.cache import present_name

ATTENTION = "GroupQueryAttention"
_LARGEST = 127
_PAST, _SCALES = (3, 4), (12, 13)
"""Which inputs of the operator are the keys and values, and which are their scales."""


def quantize_cache(folder: Path, calibration: Calibration, *, graph: str = GRAPH) -> None:
    """Let the graph in `folder` keep keys and values as int8, in place.

    A value is stored as a whole number of 127ths of its channel's range in the calibration text, when its token comes:
    nothing that is stored is rounded again, and what goes beyond the range is cut. Only GroupQueryAttention knows such
    a cache; a graph with another attention stays as it is.
    """
    model = onnx.load(folder / graph, load_external_data=False)
    nodes = [node for node in model.graph.node if node.op_type == ATTENTION]
    if not nodes:
        return
    ranges = calibration.cache_ranges
    for node in nodes:
        _quantize(model, node, ranges)
    cached = {name for past in ranges for name in (past, present_name(past))}
    for tensor in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if tensor.name in cached:
            tensor.type.tensor_type.elem_type = TensorProto.INT8
    onnx.save(model, folder / graph)


def _quantize(model: ModelProto, node: NodeProto, ranges: Mapping[str, Array]) -> None:
    node.input.extend([""] * (max(_SCALES) + 1 - len(node.input)))
    for past, scale in zip(_PAST, _SCALES, strict=True):
        largest = ranges[node.input[past]]
        steps = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(_LARGEST)
        node.input[scale] = f"{node.input[past]}.scale"
        model.graph.initializer.append(numpy_helper.from_array(steps, node.input[scale]))
    kinds = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in kinds.items())
