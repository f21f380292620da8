"""Points and samples as a training process reports them."""

import json
from pathlib import Path

import pytest

POINTS = [
    {"step": 3, "time_ms": 1_700_000_000_000, "loss": 6.0, "lr_factor": 0.5, "tokens": 384},
    {"step": 6, "time_ms": 1_700_000_002_000, "loss": 5.5, "lr_factor": 1.0, "tokens": 768, "val_loss": 5.6},
    {"step": 6, "val_loss": 5.6},
    {"step": 9, "time_ms": 1_700_000_004_000, "loss": 5.25, "lr_factor": 1.0, "tokens": 1152},
]
SAMPLES = [
    {"step": step, "prompt": "The ", "kind": kind, "text": f"mill | 磨坊 {step}", "num_tokens": 4}
    for step in (6, 12)
    for kind in ("greedy", "drawn")
]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A file of samples whose last line is not finished."""
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in SAMPLES) + '{"step": 18, "pro', encoding="utf-8")
    return path


@pytest.fixture
def points() -> list[dict[str, float]]:
    """Points of a curve; the third says again what the second said."""
    return POINTS
