"""A trained model to a released one, without training: prefect deployment run release-only/release-only."""

from typing import Any

from prefect import flow

from flows.home import locate_home
from flows.pipeline import Outcome, chain, run_chain
from params.errors import ReleaseError
from params.load import load_params
from params.pipeline import PipelineParams
from tasks.artifacts.manifest import work_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Planned, Run, roots_of


@flow(persist_result=False)
def release_only(preset: str = "quickstart", overrides: dict[str, Any] | None = None) -> Outcome:
    """Measure, export, compress and release the stored training of a preset; raises ReleaseError where there is none.

    Args:
        preset: Name of a built-in preset, or path of a .yaml file where the flow runs.
        overrides: Values laid over the preset, nested or dotted, such as {"release.min_improvement": 0.01}.
    """
    params = load_params(preset, overrides)
    if missing := untrained(params):
        raise ReleaseError(
            f"release-only: {missing[0]} of {preset} would have to run first; start pipeline/train-only with the same "
            "preset and overrides (gristmill explain says what has changed)"
        )
    return run_chain(params, preset, overrides or {})


def untrained(params: PipelineParams) -> list[str]:
    """Stages up to training that have no stored result."""
    planned: list[Planned] = []
    record = RunRecord.begin("", {})
    store = Store(locate_home(params.run.home).store)
    chain(params, Run(store, params.run, record, roots=roots_of(params), plan=planned))
    last = max(index for index, step in enumerate(planned) if work_of(step.stage) == "train")
    return [step.stage for step in planned[: last + 1] if step.would_run]
