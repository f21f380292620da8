"""Quantize the exported graph, and keep what loses little."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.compress import CompressParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.compression.quality import Quality

log = logging.getLogger(__name__)
_DIGITS = 6


@stage(version=1)
def compress(params: CompressParams, graph: Manifest, shards: Manifest, *, out: Path, run: Run) -> Metrics:
    """Quantized variants, each in a folder of its own, ready to run, and quality.json about all of them.

    Every variant is loaded and run on held-out blocks; one that loses more than params.max_loss_increase is removed,
    with the reason in quality.json and in the facts of the result.
    """
    from tasks.compression.quality import decode_tokens_per_s, measure_quality
    from tasks.graph.held_out import held_out_blocks
    from tasks.graph.served import graph_bytes
    from tasks.serving.generator import OnnxModel

    folders = {"fp32": graph.folder / "fp32"} | {name: out / name for name in params.variants}
    for name in params.variants:
        _make_variant(folders["fp32"], folders[name], name, params)
    models = {name: OnnxModel(folder) for name, folder in folders.items()}
    blocks = held_out_blocks(shards, params.check_blocks)
    quality = measure_quality(models, blocks, greedy_tokens=params.greedy_tokens)
    sizes = {name: graph_bytes(folder) for name, folder in folders.items()}
    speeds = {name: decode_tokens_per_s(model, blocks, params.greedy_tokens) for name, model in models.items()}
    rejected = _rejected(quality, params)
    _save_report(out / "quality.json", quality, sizes, rejected)
    for dropped, reason in rejected.items():
        log.warning("%s is not kept: %s", dropped, reason)
        shutil.rmtree(folders[dropped])
    return _metrics(quality, sizes, speeds, rejected)


def _make_variant(source: Path, out: Path, name: str, params: CompressParams) -> None:
    from tasks.compression.quantize import BITS, quantize_graph
    from tasks.graph.served import copy_companions
    from tasks.serving.generator import Settings

    shutil.rmtree(out, ignore_errors=True)
    vocab_size = Settings.load(source).vocab_size
    quantize_graph(source, out, bits=BITS[name], block_size=params.block_size, vocab_size=vocab_size)
    copy_companions(source, out)


def _rejected(quality: "dict[str, Quality]", params: CompressParams) -> dict[str, str]:
    """Why a variant is not kept, for those that are not."""
    return {
        name: f"its loss is {found.loss_increase:.4f} nats per token over fp32, "
        f"compress.max_loss_increase is {params.max_loss_increase}"
        for name, found in quality.items()
        if not found.loss_increase <= params.max_loss_increase
    }


def _save_report(path: Path, quality: "dict[str, Quality]", sizes: dict[str, int], rejected: Mapping[str, str]) -> None:
    report: dict[str, dict[str, Any]] = {}
    for name, found in quality.items():
        figures = {key: float(f"{value:.{_DIGITS}g}") for key, value in asdict(found).items()}
        report[name] = {"bytes": sizes[name], **figures}
        if name in rejected:
            report[name]["rejected"] = rejected[name]
    write_atomic(path, json.dumps(report, indent=1) + "\n")


def _metrics(
    quality: "dict[str, Quality]", sizes: dict[str, int], speeds: dict[str, float], rejected: Mapping[str, str]
) -> Metrics:
    kept = [name for name in quality if name not in rejected]
    values = {f"{name}_decode_tokens_per_s": speed for name, speed in speeds.items()}
    for name, found in quality.items():
        if name != "fp32":
            values |= {f"{name}_loss_increase": found.loss_increase, f"{name}_kl": found.kl}
            values |= {f"{name}_top1_agreement": found.top1_agreement}
    facts = {"variants": ", ".join(kept)} | {f"{name}_rejected": reason for name, reason in rejected.items()}
    return Metrics(
        headline=", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in sizes.items()),
        counts={f"{name}_bytes": size for name, size in sizes.items()},
        values=values,
        facts=facts,
    )
