"""Rewrites that bring every large weight of a graph into a form that can be quantized."""

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

_GEMM_DEFAULTS = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def normalize_graph(model: ModelProto) -> None:
    """Make every weight of a matrix product the right-hand constant of a plain MatMul, in place.

    A tied matrix is then there twice, once per orientation; quantizing makes the two equal again.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Transpose" and node.input[0] in weights and _swaps_a_matrix(node, weights):
            _add(model.graph, weights, node.output[0], numpy_helper.to_array(weights[node.input[0]]).T)
        elif node.op_type == "Gemm" and node.input[1] in weights:
            nodes.extend(_without_gemm(node, model.graph, weights))
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _swaps_a_matrix(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return len(weights[node.input[0]].dims) == 2 and list(attributes.get("perm", [1, 0])) == [1, 0]


def _without_gemm(node: NodeProto, graph: GraphProto, weights: dict[str, TensorProto]) -> list[NodeProto]:
    """MatMul and Add in place of A B + C; anything scaled or with A transposed stays as it is."""
    attributes = _GEMM_DEFAULTS | {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if (attributes["alpha"], attributes["beta"], attributes["transA"]) != (1.0, 1.0, 0):
        return [node]
    weight = node.input[1]
    if attributes["transB"]:
        weight = f"{weight}/transposed"
        if weight not in weights:
            _add(graph, weights, weight, numpy_helper.to_array(weights[node.input[1]]).T)
    name, output = node.name, node.output[0]
    if len(node.input) < 3:
        return [helper.make_node("MatMul", [node.input[0], weight], [output], name=f"{name}/MatMul")]
    product = helper.make_node("MatMul", [node.input[0], weight], [f"{output}/product"], name=f"{name}/MatMul")
    return [product, helper.make_node("Add", [product.output[0], node.input[2]], [output], name=f"{name}/Add")]


def _add(graph: GraphProto, weights: dict[str, TensorProto], name: str, array: "np.ndarray") -> None:
    weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
    graph.initializer.append(weights[name])
