"""Measure the trained model on the held-out documents."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from params.evaluate import EvaluateParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.stage import stage


@stage(version=1)
def evaluate(params: EvaluateParams, model: Manifest, shards: Manifest, *, out: Path, run: Run) -> Metrics:
    """Loss, perplexity and bits per byte on validation and test, per source, with intervals; losses per document."""
    from tasks.evaluation.losses import bytes_per_token_id, document_losses, write_losses
    from tasks.evaluation.trained import chosen_device, load_block_losses
    from tasks.shards.blocks import Blocks
    from tasks.tokenizer.files import load_tokenizer, special_ids

    folder = model.folder / "model"
    ids = special_ids(folder)
    token_bytes = bytes_per_token_id(load_tokenizer(folder))
    block_losses = load_block_losses(
        folder,
        begin=ids.begin,
        padding=ids.padding,
        threads=run.settings.threads or num_cores(),
        device=chosen_device(run.settings.device),
    )
    report: dict[str, Any] = {"shards": shards.digest, "model": model.digest}
    for split in ("validation", "test"):
        losses = document_losses(
            Blocks(shards.paths(f"{split}/*.arrow")),
            shards.folder / "documents" / f"{split}.arrow",
            block_losses,
            token_bytes=token_bytes,
            padding=ids.padding,
            batch_blocks=params.batch_blocks,
            max_blocks=params.max_blocks,
        )
        write_losses(out / "documents" / f"{split}.arrow", losses)
        report[split] = _figures(losses, params)
    write_atomic(out / "evaluation.json", json.dumps(report, indent=1))
    test = report["test"]
    return Metrics(
        headline=f"test: {test['bits_per_byte']:.3f} bits per byte, perplexity {test['perplexity']:,.1f}",
        speed=(sum(report[split]["targets"] for split in ("validation", "test")), "tokens"),
        counts={f"{split}_docs": report[split]["docs"] for split in ("validation", "test")},
        values={
            f"{split}_{name}": report[split][name]
            for split in ("validation", "test")
            for name in ("loss", "perplexity", "bits_per_byte")
        },
    )


def _figures(losses: Any, params: EvaluateParams) -> dict[str, Any]:
    from tasks.evaluation.figures import figures, figures_by_source

    settings: dict[str, Any] = {
        "samples": params.bootstrap_samples,
        "confidence": params.confidence,
        "seed": params.seed,
    }
    return {**asdict(figures(losses, **settings)), "by_source": figures_by_source(losses, **settings)}
