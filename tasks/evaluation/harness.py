"""Tasks of lm-eval asked of a model, as figures of evaluation.json."""

import math
from collections.abc import Mapping
from typing import Any

from params.evaluate import EvaluateParams, HarnessParams
from tasks.evaluation.harness_quiet import quiet_harness
from tasks.evaluation.language_model import LanguageModel

_NO_FILTER = "none"


def measure_harness(model: LanguageModel, params: EvaluateParams, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """By task: documents, and each metric with its standard error; those of a filter of the task's under its name."""
    from lm_eval.evaluator import evaluate

    from tasks.evaluation.harness_model import HarnessModel

    harness: HarnessParams | None = params.harness
    assert harness is not None
    asked = HarnessModel(model, batch_tokens=params.batch_tokens)
    with quiet_harness():
        found = evaluate(
            asked,
            {"tasks": dict(tasks)},
            limit=harness.limit,
            bootstrap_iters=params.bootstrap_samples,
            log_samples=False,
        )
    return {name: _figures(found["results"][name]) for name in tasks}


def _figures(results: Mapping[str, Any]) -> dict[str, Any]:
    """lm-eval names a figure METRIC,FILTER; what is no number (the standard error of one document) is left out."""
    figures: dict[str, Any] = {"documents": int(results["sample_len"])}
    for key, value in results.items():
        metric, comma, chosen = key.partition(",")
        if comma and isinstance(value, int | float) and math.isfinite(value):
            group = figures if chosen == _NO_FILTER else figures.setdefault(chosen, {})
            group[metric] = round(float(value), 6)
    return figures
