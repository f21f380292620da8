"""What a graph meets in calibration text: second moments of what is multiplied, and how large keys and values get."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper

from tasks.graph.served import copy_companions
from tasks.serving.cache import cache_names, present_name
from tasks.serving.generator import OnnxModel, empty_cache

Array = npt.NDArray[Any]


class Calibration:
    """What is learned from text for the variants of a served folder, when the first of them asks."""

    def __init__(self, source: Path, read: Callable[[], Sequence[list[int]]]) -> None:
        """`source` has the float32 graph; `read` gives blocks of training text."""
        self._source, self._read = source, read

    @cached_property
    def blocks(self) -> Sequence[list[int]]:
        """Token ids of the text."""
        return self._read()

    @cached_property
    def cache_ranges(self) -> Mapping[str, Array]:
        """How large keys and values get in it."""
        return cache_ranges(OnnxModel(self._source), self.blocks)


def cache_ranges(model: OnnxModel, blocks: Sequence[list[int]]) -> dict[str, Array]:
    """The largest magnitude of each channel (key-value heads * size of a head) of a cache, by the graph's input."""
    past = cache_names(model.settings)
    largest: dict[str, Array] = {}
    for block in blocks:
        made = model.session.run([present_name(name) for name in past], _feeds(model, block))
        for name, values in zip(past, made, strict=True):
            here = np.abs(values).max(axis=(0, 2)).reshape(-1)
            largest[name] = np.maximum(largest.get(name, here), here)
    return largest


def input_moments(model: ModelProto, companions: Path, blocks: Sequence[list[int]]) -> dict[str, Array]:
    """The sum of x xᵀ over all positions of `blocks`, by the name of the product's first input.

    `companions` is a served folder whose tokenizer and settings belong to the graph.
    """
    names = _product_inputs(model)
    moments: dict[str, Array] = {}
    with tempfile.TemporaryDirectory(prefix="gristmill-calibrate-") as folder:
        probe = ModelProto()
        probe.CopyFrom(model)
        probe.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
        copy_companions(companions, Path(folder))
        onnx.save(probe, Path(folder) / "model.onnx", save_as_external_data=True, location="model.onnx.data")
        runner = OnnxModel(folder)
        for block in blocks:
            for name, values in zip(names, runner.session.run(names, _feeds(runner, block)), strict=True):
                rows = np.asarray(values).reshape(-1, values.shape[-1]).astype(np.float64)
                moments[name] = moments.get(name, 0.0) + rows.T @ rows
    return moments


def _product_inputs(model: ModelProto) -> list[str]:
    """Names of tensors that are multiplied by constant matrices, each once."""
    constants = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products = (node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constants)
    return list(dict.fromkeys(node.input[0] for node in products))


def _feeds(model: OnnxModel, block: Sequence[int]) -> Mapping[str, Array]:
    """One block with an empty cache."""
    tokens = np.array([block], np.int64)
    return model.feeds(tokens, np.ones_like(tokens)) | empty_cache(model, 1)
