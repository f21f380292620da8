"""The figures of an evaluation by dotted name: the same in evaluation.json, in MLflow and in the gate."""

from collections.abc import Mapping
from typing import Any


def numbers_of(report: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a report, named by the keys that lead to it; lists and texts are left out."""
    found: dict[str, float] = {}
    for key, value in report.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{prefix}{key}"] = float(value)
    return found
