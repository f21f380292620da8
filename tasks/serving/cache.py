"""The keys and values that a graph reads and writes: what they are called, and of which type they are."""

from typing import Any

import numpy as np

from tasks.serving.generator import DTYPES, Settings


def cache_dtype(session: Any) -> "np.dtype[Any]":
    """The type of the graph's keys and values."""
    return next(DTYPES[tensor.type] for tensor in session.get_inputs() if tensor.name.startswith("past_key_values."))


def cache_names(settings: Settings) -> list[str]:
    """The graph's inputs for them."""
    return [f"past_key_values.{layer}.{kind}" for layer in range(settings.num_layers) for kind in ("key", "value")]


def present_name(past: str) -> str:
    """The output that belongs to such an input."""
    return past.replace("past_key_values", "present")
