"""Attention over an int8 cache against numpy, which rounds the same keys and values itself."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from params.compress import CompressParams
from tasks.compression.calibrate import Calibration, cache_ranges
from tasks.compression.key_values import ATTENTION, quantize_cache
from tasks.compression.variants import make_variant
from tasks.serving.cache import cache_dtype
from tasks.serving.generator import OnnxModel

HEADS, SIZE, LENGTH, ROOM = 2, 16, 5, 8
PAST = ("past_key_values.0.key", "past_key_values.0.value")


def save_attention(folder):
    """One attention whose keys and values are kept in place, of `ROOM` tokens."""
    value = helper.make_tensor_value_info
    flat, cached = ["batch", "new", HEADS * SIZE], ["batch", HEADS, ROOM, SIZE]
    kept = [value(name, TensorProto.FLOAT, cached) for name in (*PAST, "present.0.key", "present.0.value")]
    node = helper.make_node(
        ATTENTION,
        ["query", "key", "value", *PAST, "last", "total"],
        ["attended", "present.0.key", "present.0.value"],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
    )
    graph = helper.make_graph(
        [node],
        "g",
        [
            *(value(name, TensorProto.FLOAT, flat) for name in ("query", "key", "value")),
            *kept[:2],
            value("last", TensorProto.INT32, ["batch"]),
            value("total", TensorProto.INT32, []),
        ],
        [value("attended", TensorProto.FLOAT, flat), *kept[2:]],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")


def attend(folder, query, key, value):
    """The last token's output, and the keys and values kept."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    empty = np.zeros((1, HEADS, ROOM, SIZE), cache_dtype(session))
    lengths = {"last": np.array([LENGTH - 1], np.int32), "total": np.array(LENGTH, np.int32)}
    feeds = {"query": query, "key": key, "value": value, **dict.fromkeys(PAST, empty), **lengths}
    attended, *kept = session.run(None, feeds)
    return attended[0, -1].reshape(HEADS, SIZE), [array[0, :, :LENGTH] for array in kept]


def by_head(values):
    return values[0].reshape(LENGTH, HEADS, SIZE).transpose(1, 0, 2)


def softmax_attention(query, key, value):
    """(heads, size) for the last query over all keys and values (heads, length, size)."""
    scores = np.einsum("hd,htd->ht", query, key) / SIZE**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("ht,htd->hd", weights / weights.sum(-1, keepdims=True), value)


def with_ranges(ranges):
    """A calibration that has been done."""
    calibration = Calibration(source=None, read=list)
    calibration.cache_ranges = ranges
    return calibration


def test_keys_and_values_are_kept_as_127ths_of_the_range_of_their_channel_and_cut_beyond_it(tmp_path):
    save_attention(tmp_path / "g")
    random = np.random.default_rng(0)
    query, key, value = (random.normal(size=(1, LENGTH, HEADS * SIZE)).astype(np.float32) for _ in range(3))
    exact, _ = attend(tmp_path / "g", query, key, value)
    np.testing.assert_allclose(exact, softmax_attention(by_head(query)[:, -1], by_head(key), by_head(value)), rtol=1e-4)
    ranges = {name: np.abs(array).max(axis=(0, 1)) for name, array in zip(PAST, (key, value), strict=True)}
    ranges[PAST[0]][3] /= 2
    ranges[PAST[1]][-1] = 0
    value[..., -1] = 0
    quantize_cache(tmp_path / "g", with_ranges(ranges))
    attended, kept = attend(tmp_path / "g", query, key, value)
    restored = []
    for name, array, codes in zip(PAST, (key, value), kept, strict=True):
        steps = (np.where(ranges[name] > 0, ranges[name], 1) / 127).reshape(HEADS, 1, SIZE)
        expected = np.clip(np.rint(by_head(array) / steps), -128, 127)
        assert np.abs(codes - expected).max() <= 1  # the quotient of a tie may be rounded either way
        assert np.mean(codes == expected) > 0.98
        restored.append(codes * steps)
    np.testing.assert_allclose(attended, softmax_attention(by_head(query)[:, -1], *restored), rtol=1e-3, atol=1e-4)


def test_ranges_are_the_largest_magnitudes_of_each_channel_over_all_blocks(workshop):
    model = OnnxModel(workshop.graph("qwen3").folder / "fp32")
    blocks = [[0, 5, 6, 7], [0, 9, 8, 7, 6, 5]]
    ranges = cache_ranges(model, blocks)
    settings = model.settings
    assert len(ranges) == 2 * settings.num_layers
    alone = [cache_ranges(model, [block]) for block in blocks]
    for name, largest in ranges.items():
        assert largest.shape == (settings.num_kv_heads * settings.head_dim,)
        assert np.array_equal(largest, np.maximum(alone[0][name], alone[1][name]))
        assert (largest > 0).all()


@pytest.mark.parametrize(("architecture", "cache", "kept"), [
    ("qwen3", "int8", np.int8), ("qwen3", "float32", np.float32), ("gpt2", "int8", np.float32)
])  # fmt: skip
def test_only_what_can_keep_int8_and_is_asked_to_does(workshop, tmp_path, architecture, cache, kept):
    source = workshop.graph(architecture).folder / "fp32"
    calibration = Calibration(source, lambda: [[0, 5, 6, 7]])
    make_variant("int8", source, tmp_path / "int8", params=CompressParams(cache=cache), calibration=calibration)
    assert cache_dtype(OnnxModel(tmp_path / "int8").session) == kept
