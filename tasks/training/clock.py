"""Time spent in training: over all attempts, and by kind of work."""

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Measures steps, evaluations and saves, and predicts what the next will take."""

    def __init__(self, earlier_s: float = 0.0) -> None:
        self._earlier_s = earlier_s
        self._began = self._saved = time.monotonic()
        self._recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=20))

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, earlier attempts included."""
        return self._earlier_s + time.monotonic() - self._began

    @property
    def since_save_s(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.monotonic() - self._saved

    def saved(self) -> None:
        """A checkpoint has just been written."""
        self._saved = time.monotonic()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """A pause, which is no training time."""
        began = time.monotonic()
        yield
        waited = time.monotonic() - began
        self._began, self._saved = self._began + waited, self._saved + waited

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Note how long a piece of work takes."""
        began = time.monotonic()
        yield
        self._recent[kind].append(time.monotonic() - began)

    def mean_s(self, kind: str) -> float:
        """Mean of the last pieces of this kind, 0 before the first."""
        recent = self._recent[kind]
        return sum(recent) / len(recent) if recent else 0.0

    def cost_s(self, kind: str) -> float:
        """A cautious prediction: the 95th percentile of the last pieces, the median where the first compiled."""
        recent = sorted(self._recent[kind])
        if not recent:
            return 0.0
        return recent[len(recent) // 2] if len(recent) < 20 else recent[int(0.95 * (len(recent) - 1))]
