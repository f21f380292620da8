"""The keys and values that a graph reads and writes: what they are called."""

from tasks.serving.generator import Settings


def cache_names(settings: Settings) -> list[str]:
    """The graph's inputs for them."""
    return [f"past_key_values.{layer}.{kind}" for layer in range(settings.num_layers) for kind in ("key", "value")]


def present_name(past: str) -> str:
    """The output that belongs to such an input."""
    return past.replace("past_key_values", "present")
