"""lm-eval without its bars, its log and its processes: what matters of it is said in our own words."""

import logging
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_harness() -> Iterator[None]:
    """Nothing of lm-eval and datasets reaches the terminal within."""
    import datasets
    import lm_eval.api.metrics as theirs
    import lm_eval.api.task as tasks

    logs = [logging.getLogger(name) for name in ("lm_eval", "datasets")]
    levels, had_bars = [log.level for log in logs], not datasets.are_progress_bars_disabled()
    kept: tuple[Any, Any] = (tasks.tqdm, theirs.bootstrap_stderr)
    for log in logs:
        log.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    # It has no switch for these two: a bar for each task, and a bootstrap that prints and starts a process a core.
    tasks.tqdm, theirs.bootstrap_stderr = _without_bar, _bootstrap_stderr
    try:
        yield
    finally:
        tasks.tqdm, theirs.bootstrap_stderr = kept
        if had_bars:
            datasets.enable_progress_bars()
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _without_bar(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


def _bootstrap_stderr(metric: Callable[[Sequence[Any]], float], values: Sequence[Any], iters: int) -> float:
    """Standard deviation of a figure over resamples (Efron 1979), the same at every run."""
    drawn = random.Random(0)
    return statistics.stdev(metric(drawn.choices(values, k=len(values))) for _ in range(max(2, iters)))
