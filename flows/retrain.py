"""New text to a new champion, or to a reason why not: gristmill retrain PRESET, or deployment retrain/retrain."""

from dataclasses import dataclass
from typing import Any

from prefect import flow

from flows.arrivals import absorb
from flows.phases import check_examples
from flows.pipeline import Outcome, conclude
from flows.renewable import check_renewable
from flows.renewing import compare_with_champion, prepare, renew
from flows.runs import begin_run
from flows.weighing import Case, versions_that_saw, weigh
from params.load import load_params
from params.pipeline import PipelineParams
from tasks.adopt import find_champion
from tasks.context import Run
from tasks.register import register
from tasks.retraining.comparison import Comparison


@dataclass(frozen=True)
class Retrained:
    """How a retraining ended."""

    outcome: Outcome
    case: Case
    comparison: Comparison | None = None
    """None where nothing was trained, where there was no champion, and of models that are judged by rows."""


@flow(persist_result=False)
def retrain(preset: str = "quickstart", overrides: dict[str, Any] | None = None) -> Retrained:
    """Look for new, changed and withdrawn text and new examples; train again on evidence, and promote what is better.

    Args:
        preset: Name of a built-in preset, or path of a .yaml file where the flow runs.
        overrides: Values laid over the preset, nested or dotted, such as {"retrain.min_new_tokens": 1000000}.
    """
    p = load_params(preset, overrides)
    check_renewable(p)
    with begin_run(p, preset, overrides or {}) as run:
        check_examples(p)
        run.is_addition = True
        champion = find_champion(p.release.model_name, run=run)
        arrived = absorb(p, run, seen=(champion.files if champion else None) or ())
        case = weigh(p, champion, arrived, run)
        tell(p, case, run)
        if not case.judgement.retrain:
            return Retrained(conclude(run, None), case)
        prepared = prepare(p, case, arrived, run)
        candidate = renew(p, case, prepared, run)
        comparison = compare_with_champion(p, case, candidate, prepared, run)
        hold = comparison.holds if comparison is not None else ()
        registered = register(p.release, candidate.released, candidate.evaluation, run=run, hold=hold)
        note(run, *([str(comparison)] if comparison is not None else []), registered.decision)
        return Retrained(conclude(run, registered), case, comparison)


def tell(p: PipelineParams, case: Case, run: Run) -> None:
    """The judgement and withdrawn documents, in the run's record and in both UIs."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    note(run, str(case.judgement))
    facts = [f"- {reason}" for reason in case.judgement.reasons]
    how = "Trains" if case.judgement.retrain else "Does not train"
    create_markdown_artifact("\n".join([f"**{how}**", "", *facts]), key="retrain-judgement")
    if case.withdrawn:
        rows = versions_that_saw(case.withdrawn, p.release.model_name, run)
        create_table_artifact(table=rows, key="withdrawn", description="Text that is gone, and who has learned from it")
        if run.tracker is not None:
            run.tracker.log_rows(rows, "withdrawn.json")


def note(run: Run, *texts: str) -> None:
    """Keep lines about the run, in its record and in MLflow."""
    run.update(run.record.model_copy(update={"notes": (*run.record.notes, *texts)}))
    if run.tracker is not None:
        run.tracker.tag({"gristmill.notes": "\n".join(run.record.notes)})
