"""The variants of an exported graph: what each is called and how it is made."""

import shutil
from pathlib import Path

from params.compress import CompressParams
from tasks.compression.calibrate import Calibration
from tasks.compression.dynamic import quantize_dynamically
from tasks.compression.half import halve_weights
from tasks.compression.key_values import quantize_cache
from tasks.compression.quantize import quantize_graph
from tasks.graph.served import copy_companions
from tasks.serving.generator import Settings


def make_variant(name: str, source: Path, out: Path, *, params: CompressParams, calibration: Calibration) -> None:
    """Write a variant of the served folder `source` to `out`, ready to run."""
    shutil.rmtree(out, ignore_errors=True)
    for graph in sorted(path.name for path in source.glob("*.onnx")):
        _make_graph(name, source, out, graph=graph, params=params, calibration=calibration)
    copy_companions(source, out)


def _make_graph(
    name: str, source: Path, out: Path, *, graph: str, params: CompressParams, calibration: Calibration
) -> None:
    if name in ("fp16", "bf16"):
        halve_weights(source, out, kind=name, graph=graph)
    elif name == "int8_dynamic":
        quantize_dynamically(source, out, graph=graph)
    else:
        quantize_graph(
            source,
            out,
            graph=graph,
            bits=8 if name == "int8" else 4,
            block_size=params.block_size,
            vocab_size=Settings.load(source).vocab_size,
            calibration=calibration.blocks if name == "int4_gptq" else (),
        )
        if params.cache == "int8":
            quantize_cache(out, calibration, graph=graph)
