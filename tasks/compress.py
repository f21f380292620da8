"""Make smaller variants of the exported graph, and keep what loses little."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.compress import CompressParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.compression.quality import Quality
    from tasks.compression.sweep import Point
    from tasks.kinds.kind import Kind, Measured

log = logging.getLogger(__name__)
_DIGITS = 6
PICKED = "picked.json"
SPEEDS = {"tokens": "decode_tokens_per_s", "texts": "texts_per_s"}
"""Metric of a variant's speed, by what is counted; the variant's name stands before it."""
_MAX_ROWS = 512
"""Held-out rows on which each variant is compared with fp32."""


@stage(version=4)
def compress(
    params: CompressParams,
    graph: Manifest,
    shards: Manifest,
    examples: Manifest | None = None,
    *,
    out: Path,
    run: Run,
) -> Metrics:
    """Smaller variants, each in a folder of its own, ready to run; quality.json about all, picked.json about the best.

    Every variant is loaded and run on held-out blocks, or on the rows that `examples` hold out where the model is
    judged by those; one that loses more than params.max_loss_increase is removed,
    with the reason in quality.json and in the facts of the result. Speeds vary from run to run: they are in the
    metrics, and with the plot in logs/, outside the digest.
    """
    from tasks.compression.sweep import Point, pick, save_sweep
    from tasks.graph.served import graph_bytes
    from tasks.kinds.kind import kind_of

    folders = {"fp32": graph.folder / "fp32"} | {name: out / name for name in params.variants}
    _make_variants(folders, shards, params)
    kind = kind_of(folders["fp32"])
    unit = "tokens" if kind is None else kind.speed_unit
    if kind is not None and examples is not None:
        measured = _by_rows(kind, folders, examples)
    else:
        measured = _by_blocks(folders, shards, params)
    quality = {name: found.quality for name, found in measured.items()}
    rejected = _rejected(quality, params)
    points = {
        name: Point(
            size_bytes=graph_bytes(folders[name]),
            loss_increase=found.quality.loss_increase,
            per_s=found.per_s,
            is_kept=name not in rejected,
        )
        for name, found in measured.items()
    }
    picked = pick(points, params.pick)
    save_sweep(points, out / "logs", picked=picked, unit=unit)
    _save_report(out / "quality.json", quality, points, rejected)
    write_atomic(out / PICKED, json.dumps({"variant": picked, "by": params.pick}) + "\n")
    for dropped, reason in rejected.items():
        log.warning("%s is not kept: %s", dropped, reason)
        shutil.rmtree(folders[dropped])
    return _metrics(quality, points, rejected, picked=picked, unit=unit)


def _make_variants(folders: Mapping[str, Path], shards: Manifest, params: CompressParams) -> None:
    from tasks.compression.calibrate import Calibration
    from tasks.compression.variants import make_variant

    source = folders["fp32"]
    calibration = Calibration(source, partial(_calibration, shards, params.calibration_blocks))
    for name in params.variants:
        make_variant(name, source, folders[name], params=params, calibration=calibration)


def _by_rows(kind: "Kind", folders: Mapping[str, Path], examples: Manifest) -> "dict[str, Measured]":
    from tasks.kinds.rows import held_out_rows

    return kind.measure_variants(folders, held_out_rows(examples.folder, kind.read).some(_MAX_ROWS))


def _by_blocks(folders: Mapping[str, Path], shards: Manifest, params: CompressParams) -> "dict[str, Measured]":
    from tasks.compression.quality import decode_tokens_per_s, measure_quality
    from tasks.graph.held_out import held_out_blocks
    from tasks.kinds.kind import Measured
    from tasks.serving.generator import OnnxModel

    models = {name: OnnxModel(folder) for name, folder in folders.items()}
    blocks = held_out_blocks(shards, params.check_blocks)
    quality = measure_quality(models, blocks, greedy_tokens=params.greedy_tokens)
    return {
        name: Measured(quality[name], decode_tokens_per_s(model, blocks, params.greedy_tokens))
        for name, model in models.items()
    }


def speed_of(compressed: Manifest, variant: str) -> tuple[float, str] | None:
    """How fast a variant is, and what is counted."""
    found = compressed.metrics.values
    return next(((found[key], unit) for unit, end in SPEEDS.items() if (key := f"{variant}_{end}") in found), None)


def _calibration(shards: Manifest, limit: int) -> list[list[int]]:
    """Training blocks, spread evenly, without the last target."""
    from tasks.shards.blocks import Blocks, evenly

    blocks = Blocks(shards.paths("train/*.arrow"))
    taken: list[list[int]] = blocks[evenly(len(blocks), limit)][:, :-1].tolist()
    return taken


def _rejected(quality: "dict[str, Quality]", params: CompressParams) -> dict[str, str]:
    """Why a variant is not kept, for those that are not."""
    return {
        name: f"its loss is {found.loss_increase:.4f} nats per {_counted(found)} over fp32, "
        f"compress.max_loss_increase is {params.max_loss_increase}"
        for name, found in quality.items()
        if not found.loss_increase <= params.max_loss_increase
    }


def _counted(found: "Quality") -> str:
    return "text" if found.greedy_agreement is None else "token"


def _save_report(
    path: Path, quality: "dict[str, Quality]", points: "dict[str, Point]", rejected: Mapping[str, str]
) -> None:
    report: dict[str, dict[str, Any]] = {}
    for name, found in quality.items():
        known = {key: value for key, value in asdict(found).items() if value is not None}
        figures = {key: float(f"{value:.{_DIGITS}g}") for key, value in known.items()}
        report[name] = {"bytes": points[name].size_bytes, **figures}
        if name in rejected:
            report[name]["rejected"] = rejected[name]
    write_atomic(path, json.dumps(report, indent=1) + "\n")


def _metrics(
    quality: "dict[str, Quality]", points: "dict[str, Point]", rejected: Mapping[str, str], *, picked: str, unit: str
) -> Metrics:
    values = {f"{name}_{SPEEDS[unit]}": point.per_s for name, point in points.items()}
    for name, found in quality.items():
        if name != "fp32":
            values |= {f"{name}_loss_increase": found.loss_increase, f"{name}_kl": found.kl}
            values |= {f"{name}_top1_agreement": found.top1_agreement}
    facts = {"variants": ", ".join(name for name in quality if name not in rejected), "picked": picked}
    return Metrics(
        headline=", ".join(f"{name} {point.size_bytes / 1e6:,.1f} MB" for name, point in points.items()),
        counts={f"{name}_bytes": point.size_bytes for name, point in points.items()},
        values=values,
        facts=facts | {f"{name}_rejected": reason for name, reason in rejected.items()},
    )
