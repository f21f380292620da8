"""A notice to send."""

import pytest

from tasks.notices.message import Notice


@pytest.fixture
def notice() -> Notice:
    """A run that converged."""
    return Notice(
        "converged",
        run_id="20260131-101500-ab12",
        preset="quickstart",
        model="gristmill-tiny",
        host="box",
        reasons=("no gain over 0 in 5 evaluations (best 3.2100)", "validation loss 3.2100 reached 3.5"),
        seconds=3725.4,
        figures={"val_loss": 3.21, "tokens": 1_048_576, "cost": 12.5},
        links={"version": "models:/gristmill-tiny/3", "mlflow": "http://ml.example/#/experiments/1/runs/abc"},
    )
