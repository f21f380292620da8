"""Rewriting a graph does not change what it computes."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tasks.compression.normalize import normalize_graph

RANDOM = np.random.default_rng(0)


def graph_of(nodes, weights):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [3, 4])],
        [value("y", TensorProto.FLOAT, [3, 5])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def weights(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_gemm_with_bias_becomes_matmul_and_add():
    x, w, b = weights(3, 4), weights(4, 5), weights(5)
    model = graph_of([helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="n")], {"w": w, "b": b})
    normalize_graph(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Add"]
    np.testing.assert_allclose(run(model, x), x @ w + b, rtol=1e-5)


def test_gemm_with_a_transposed_weight_gets_the_weight_the_right_way_round():
    x, w = weights(3, 4), weights(5, 4)
    model = graph_of([helper.make_node("Gemm", ["x", "w"], ["y"], name="n", transB=1)], {"w": w})
    normalize_graph(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    np.testing.assert_allclose(run(model, x), x @ w.T, rtol=1e-5)


def test_a_scaled_gemm_stays():
    model = graph_of([helper.make_node("Gemm", ["x", "w"], ["y"], name="n", alpha=2.0)], {"w": weights(4, 5)})
    normalize_graph(model)
    assert [node.op_type for node in model.graph.node] == ["Gemm"]


def test_a_transposed_constant_is_folded():
    x, w = weights(3, 4), weights(5, 4)
    nodes = [helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"])]
    model = graph_of(nodes, {"w": w})
    normalize_graph(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    np.testing.assert_allclose(run(model, x), x @ w.T, rtol=1e-5)
