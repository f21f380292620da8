"""Figures for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class ServerMetrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = self.registry
        self.requests = Counter("gristmill_requests", "Requests by path and status", ["path", "status"], registry=made)
        self.prompt_tokens = Counter("gristmill_prompt_tokens", "Prompt tokens of answered requests", registry=made)
        self.completion_tokens = Counter("gristmill_completion_tokens", "Tokens made for requests", registry=made)
        self.cancelled = Counter("gristmill_cancelled", "Requests whose client went away", registry=made)
        self.steps = Counter("gristmill_steps", "Steps of the model that made tokens", registry=made)
        self.reloads = Counter("gristmill_reloads", "Times that a newer model was taken", registry=made)
        self.reload_failures = Counter(
            "gristmill_reload_failures", "Looks for a newer model that failed", registry=made
        )
        self.first_token = Histogram(
            "gristmill_time_to_first_token_seconds",
            "From a request to its first token",
            buckets=_SECONDS,
            registry=made,
        )
        self.duration = Histogram(
            "gristmill_request_seconds", "From a request to the end of its answer", buckets=_SECONDS, registry=made
        )
        self.waiting = Gauge("gristmill_texts_waiting", "Texts in the queue", registry=made)
        self.active = Gauge("gristmill_texts_active", "Texts under way", registry=made)
        self.model = Gauge("gristmill_model", "The model that is served", ["name", "version", "variant"], registry=made)

    def watch(self, figures: Callable[[], tuple[int, int]]) -> None:
        """Take the gauges of texts that wait and are under way from a function."""
        self.waiting.set_function(lambda: figures()[0])
        self.active.set_function(lambda: figures()[1])

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
