"""Quantized graphs against weights that numpy takes apart and puts together again."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.compression.quantize import quantize_graph

VOCAB = 24


def save_tied_model(folder, width, *, tied=True):
    """Embedding lookup, then logits by the same table (or by another)."""
    random = np.random.default_rng(0)
    table = random.normal(size=(VOCAB, width)).astype(np.float32)
    head = table if tied else random.normal(size=(VOCAB, width)).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["hidden"], name="lookup"),
            helper.make_node("MatMul", ["hidden", "head"], ["logits"], name="head_product"),
        ],
        "g",
        [value("input_ids", TensorProto.INT64, ["n"])],
        [value("hidden", TensorProto.FLOAT, ["n", width]), value("logits", TensorProto.FLOAT, ["n", VOCAB])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.ascontiguousarray(head.T), "head")],
    )
    folder.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return table


def run(folder, ids):
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(["hidden", "logits"], {"input_ids": np.array(ids)})


def block_error_bound(table, bits, block_size):
    """Half a step of the grid between the least and the greatest of a block and zero; half more for the zero point."""
    blocks = table.reshape(len(table), -1, block_size)
    spread = np.maximum(blocks.max(-1), 0) - np.minimum(blocks.min(-1), 0)
    return np.repeat(spread / (2**bits - 1), block_size, axis=-1) * 1.01


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("width", [32, 64, 96])
def test_looked_up_rows_are_within_a_step_of_their_blocks_grid(tmp_path, bits, width):
    table = save_tied_model(tmp_path / "fp32", width)
    quantize_graph(tmp_path / "fp32", tmp_path / "q", bits=bits, block_size=32, vocab_size=VOCAB)
    hidden, _ = run(tmp_path / "q", range(VOCAB))
    assert (np.abs(hidden - table) <= block_error_bound(table, bits, 32)).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_tied_tables_share_their_bytes_and_agree(tmp_path, bits):
    save_tied_model(tmp_path / "fp32", 64)
    quantize_graph(tmp_path / "fp32", tmp_path / "q", bits=bits, block_size=32, vocab_size=VOCAB)
    graph = onnx.load(tmp_path / "q" / "model.onnx").graph
    packed = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.UINT8 and len(tensor.dims) == 3]
    assert len(packed) == 1
    hidden, logits = run(tmp_path / "q", range(VOCAB))
    exact = hidden @ hidden.T
    assert np.abs(logits - exact).max() < 0.02 * np.abs(exact).max()  # activations are rounded to 8 bits


def test_untied_tables_are_both_quantized(tmp_path):
    save_tied_model(tmp_path / "fp32", 64, tied=False)
    quantize_graph(tmp_path / "fp32", tmp_path / "q", bits=8, block_size=32, vocab_size=VOCAB)
    graph = onnx.load(tmp_path / "q" / "model.onnx").graph
    assert {node.op_type for node in graph.node} == {"Reshape", "GatherBlockQuantized", "MatMulNBits"}
    assert not [tensor for tensor in graph.initializer if list(tensor.dims) == [VOCAB, 64]]


@pytest.mark.parametrize(("width", "size"), [(256, 128), (192, 64), (96, 32), (48, 16)])
def test_blocks_are_halved_until_they_divide_the_width(tmp_path, width, size):
    table = save_tied_model(tmp_path / "fp32", width)
    quantize_graph(tmp_path / "fp32", tmp_path / "q", bits=8, block_size=128, vocab_size=VOCAB)
    nodes = onnx.load(tmp_path / "q" / "model.onnx").graph.node
    attributes = [{a.name: a.i for a in node.attribute} for node in nodes if node.domain == "com.microsoft"]
    assert [found["block_size"] for found in attributes] == [size, size]
    hidden, _ = run(tmp_path / "q", range(VOCAB))
    assert (np.abs(hidden - table) <= block_error_bound(table, 8, size)).all()


def test_a_width_that_no_block_divides_leaves_the_lookup_exact(tmp_path, caplog):
    caplog.set_level("INFO", "tasks")
    table = save_tied_model(tmp_path / "fp32", 40)
    quantize_graph(tmp_path / "fp32", tmp_path / "q", bits=8, block_size=32, vocab_size=VOCAB)
    hidden, _ = run(tmp_path / "q", range(VOCAB))
    np.testing.assert_array_equal(hidden, table)
    assert "token embeddings stay float32: width 40 is no multiple of 32" in caplog.text


def test_quantizing_twice_gives_the_same_bytes(tmp_path):
    save_tied_model(tmp_path / "fp32", 64)
    for name in ("a", "b"):
        quantize_graph(tmp_path / "fp32", tmp_path / name, bits=8, block_size=32, vocab_size=VOCAB)
    for file in ("model.onnx", "model.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
