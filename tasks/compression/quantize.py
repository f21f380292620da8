"""Weight-only quantization of a float32 graph: matrix products and token embeddings, block by block."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tasks.compression.calibrate import input_moments
from tasks.compression.gptq import gptq
from tasks.compression.normalize import normalize_graph
from tasks.compression.saving import GRAPH, save_graph

log = logging.getLogger(__name__)

ACCURACY_LEVEL = 4
"""Products are computed on activations rounded to int8, block by block.

The 8-bit kernels of onnxruntime's CPU provider exist at this level only: at the others a product falls back to
unpacking the weights, twenty times slower. For 4 bits it doubles the speed, and what it adds to the loss of the
4-bit weights could not be told from noise. What it costs is measured for every model in quality.json.
"""
_SMALLEST_BLOCK = 16
"""Of MatMulNBits and GatherBlockQuantized."""
Array = npt.NDArray[Any]


def quantize_graph(
    source: Path,
    out: Path,
    *,
    bits: int,
    block_size: int,
    vocab_size: int,
    calibration: Sequence[list[int]] = (),
    graph: str = GRAPH,
) -> None:
    """Write the graph of `source` to `out` with weights of `bits` bits and one scale and zero point per block.

    Blocks have `block_size` weights, or the half, quarter … of it of which the width of token embeddings is a multiple.
    Matrix products become MatMulNBits; token embeddings become GatherBlockQuantized and share the bytes of the output
    layer when the two are tied. Biases, norms and positions stay float32. Weights are rounded to the nearest, or by
    GPTQ where there are `calibration` blocks of text to see what they are multiplied with.
    """
    quantizer = _quantizer_module()
    model = onnx.load(source / graph)
    normalize_graph(model)
    block_size = _fitting(block_size, _tables(model, vocab_size))
    plain = {f"{tensor.name}_Q{bits}": tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    moments = input_moments(model, source, calibration) if calibration else {}
    config = quantizer.DefaultWeightOnlyQuantConfig(
        block_size=block_size, is_symmetric=False, accuracy_level=ACCURACY_LEVEL, bits=bits
    )
    process = quantizer.MatMulNBitsQuantizer(model, algo_config=config)
    process.process()
    model = process.model.model
    tables = {tuple(tensor.dims)[::-1] for tensor in _tables(model, vocab_size)}
    _round_by_text(model, plain, moments, spared=tables, bits=bits, block_size=block_size)
    pack = quantizer.DefaultWeightOnlyQuantizer(config).qbits_block_quant
    _quantize_embeddings(model, pack, bits=bits, block_size=block_size, vocab_size=vocab_size)
    save_graph(model, out, graph)


def _quantizer_module() -> Any:
    """The quantizer of onnxruntime, whose import sets up the root logger: that is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from onnxruntime.quantization import matmul_nbits_quantizer

    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger(matmul_nbits_quantizer.__name__).setLevel(logging.WARNING)
    return matmul_nbits_quantizer


def _round_by_text(
    model: ModelProto,
    plain: Mapping[str, TensorProto],
    moments: Mapping[str, Array],
    *,
    spared: set[tuple[int, ...]],
    bits: int,
    block_size: int,
) -> None:
    """Round the weights of every product whose inputs were seen once more, by GPTQ, in place.

    The output layer stays as it is where token embeddings have its shape: the two may be one matrix, stored once.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        seen = moments.get(node.input[0]) if node.op_type == "MatMulNBits" else None
        if seen is None or tuple(plain[node.input[1]].dims) in spared:
            continue
        codes = gptq(numpy_helper.to_array(plain[node.input[1]]), seen, bits=bits, block_size=block_size)
        for name, array in zip(node.input[1:4], codes.packed(bits), strict=True):
            there = tensors[name]
            there.CopyFrom(numpy_helper.from_array(array.reshape(tuple(there.dims)), name))


def _fitting(block_size: int, tables: Sequence[TensorProto]) -> int:
    """The block size, halved until it divides the width of all token embeddings, if that can be."""
    size = block_size
    while size >= _SMALLEST_BLOCK and any(table.dims[1] % size for table in tables):
        size //= 2
    if size < _SMALLEST_BLOCK:
        return block_size
    if size < block_size:
        log.info("blocks of %d weights: the width of the model is no multiple of %d", size, block_size)
    return size


def _tables(model: ModelProto, vocab_size: int) -> list[TensorProto]:
    """Token embeddings, (vocabulary, width), that are looked up in."""
    looked_up = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    tensors = (tensor for tensor in model.graph.initializer if tensor.name in looked_up)
    return [tensor for tensor in tensors if len(tensor.dims) == 2 and tensor.dims[0] == vocab_size]


def _quantize_embeddings(model: ModelProto, pack: Any, *, bits: int, block_size: int, vocab_size: int) -> None:
    """Replace lookups in a (vocabulary, width) table, in place.

    A width that is no multiple of the block would need padded rows; then the table stays float32, which is said.
    """
    tables = {tensor.name: tensor for tensor in _tables(model, vocab_size)}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None:
            nodes.append(node)
        elif table.dims[1] % block_size:
            log.info("token embeddings stay float32: width %d is no multiple of %d", table.dims[1], block_size)
            nodes.append(node)
        else:
            packed = pack(np.ascontiguousarray(numpy_helper.to_array(table).T))
            names = _tied_names(model, packed) or _add_packed(model, packed, table.name)
            nodes.extend(_lookup(model, node, names, list(table.dims), bits=bits, block_size=block_size))
            if _num_uses(model, table.name) == 1:
                model.graph.initializer.remove(table)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _tied_names(model: ModelProto, packed: tuple[Array, Array, Array]) -> list[str] | None:
    """Names of weights, scales and zero points of a matrix product that has exactly these."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            names = list(node.input[1:4])
            there = [numpy_helper.to_array(tensors[name]) for name in names]
            if all(np.array_equal(a, b) for a, b in zip(there, packed, strict=True)):
                return names
    return None


def _add_packed(model: ModelProto, packed: tuple[Array, Array, Array], name: str) -> list[str]:
    names = [f"{name}/packed", f"{name}/scales", f"{name}/zero_points"]
    for array, tensor_name in zip(packed, names, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(array, tensor_name))
    return names


def _lookup(
    model: ModelProto, gather: NodeProto, names: list[str], shape: list[int], *, bits: int, block_size: int
) -> list[NodeProto]:
    """Reshape (vocabulary, blocks, bytes) to (vocabulary, bytes) and look up in that."""
    weights, scales, zero_points = names
    rows, flat = f"{gather.name}/shape", f"{gather.name}/table"
    flat_shape = np.array([shape[0], shape[1] * bits // 8], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(flat_shape, rows))
    reshape = helper.make_node("Reshape", [weights, rows], [flat], name=f"{gather.name}/Reshape")
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [flat, gather.input[1], scales, zero_points],
        list(gather.output),
        name=f"{gather.name}/GatherBlockQuantized",
        domain="com.microsoft",
        bits=bits,
        block_size=block_size,
        gather_axis=0,
        quantize_axis=1,
    )
    return [reshape, lookup]


def _num_uses(model: ModelProto, name: str) -> int:
    return sum(list(node.input).count(name) for node in model.graph.node)
