"""GPTQ against its definition: products that change less, and integers that MatMulNBits reads back."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.compression.gptq import Codes, gptq

RANDOM = np.random.default_rng(0)


def correlated(rows, inputs):
    """Inputs that move together, as activations do."""
    return RANDOM.normal(size=(rows, inputs // 4)) @ np.random.default_rng(1).normal(size=(inputs // 4, inputs))


def nearest(weights, bits, block_size):
    """Rounding to the nearest: what GPTQ does when inputs are independent of each other."""
    return gptq(weights, np.eye(len(weights)), bits=bits, block_size=block_size)


@pytest.mark.parametrize("inputs", [64, 80])
def test_products_with_text_not_seen_change_less_than_by_rounding_to_the_nearest(inputs):
    weights, seen, fresh = RANDOM.normal(size=(inputs, 24)), correlated(400, inputs), correlated(200, inputs)
    rounded = gptq(weights, seen.T @ seen, bits=4, block_size=32).weights(inputs)
    plain = nearest(weights, 4, 32).weights(inputs)
    assert np.square(fresh @ (rounded - weights)).sum() < 0.5 * np.square(fresh @ (plain - weights)).sum()


def test_independent_inputs_leave_nothing_to_make_good():
    weights = RANDOM.normal(size=(64, 8)).astype(np.float32)
    codes = nearest(weights, 4, 32)
    assert np.abs(codes.weights(64) - weights).max() <= codes.scales.max() * 0.51


def test_an_input_that_is_always_zero_is_no_obstacle():
    seen = correlated(100, 64)
    seen[:, 7] = 0
    assert np.isfinite(gptq(RANDOM.normal(size=(64, 8)), seen.T @ seen, bits=4, block_size=32).weights(64)).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", [32, 96, 80])
def test_the_runtime_reads_the_packed_integers_as_the_weights_they_stand_for(bits, inputs):
    seen, outputs = correlated(300, inputs), 16
    codes = gptq(RANDOM.normal(size=(inputs, outputs)), seen.T @ seen, bits=bits, block_size=32)
    made = run_product(codes, np.eye(inputs, dtype=np.float32), bits)
    np.testing.assert_allclose(made, codes.weights(inputs), atol=1e-5)


def run_product(codes: Codes, x, bits):
    packed, scales, points = codes.packed(bits)
    attributes = {"K": x.shape[1], "N": len(packed), "bits": bits, "block_size": 32, "domain": "com.microsoft"}
    node = helper.make_node("MatMulNBits", ["x", "w", "s", "z"], ["y"], **attributes)
    value = helper.make_tensor_value_info
    arrays = {"w": packed, "s": scales, "z": points}
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, [len(x), len(packed)])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]
