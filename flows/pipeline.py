"""Raw text to a released model: gristmill run PRESET, or prefect deployment run pipeline/gristmill."""

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from prefect import flow

from flows.phases import check_examples, final_objective, train_phases
from flows.runs import begin_run
from flows.summary import publish_losses_table, publish_stage_table, tag_outcome
from params.load import load_params
from params.objective import NOT_RELEASED
from params.pipeline import PipelineParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.clean import clean
from tasks.compress import compress
from tasks.context import Run
from tasks.decontaminate import decontaminate
from tasks.dedup import dedup, extend_index
from tasks.evaluate import check_quizzes, evaluate
from tasks.export import export
from tasks.ingest import ingest
from tasks.prune import prune
from tasks.register import Registered, register
from tasks.release import release
from tasks.shard import shard
from tasks.split import split
from tasks.survey import survey
from tasks.train_tokenizer import train_tokenizer

log = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """What the gate decides on."""

    released: Manifest
    evaluation: Manifest


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    record: RunRecord
    manifests: dict[str, Manifest]
    registered: Registered | None
    """None where training made a model that is not released."""


@flow(persist_result=False)
def pipeline(preset: str = "quickstart", overrides: dict[str, Any] | None = None) -> Outcome:
    """Turn raw text into a released language model; stages whose results are stored are reused.

    Args:
        preset: Name of a built-in preset, or path of a .yaml file where the flow runs.
        overrides: Values laid over the preset, nested or dotted, such as {"train.seed": 7}.
    """
    params = load_params(preset, overrides)
    with begin_run(params, preset, overrides or {}) as run:
        candidate = chain(params, run)
        if candidate is None:
            return conclude(run, None)
        registered = register(params.release, candidate.released, candidate.evaluation, run=run)
        return conclude(run, registered)


def chain(p: PipelineParams, run: Run) -> Candidate | None:
    """The stages from raw text to the bundle that may be released; a planning run only walks along them.

    None where training made another model than one that goes on writing a text: evaluation and what follows cannot
    take it, and the run ends with training.
    """
    check_examples(p)
    check_quizzes(p.evaluate)
    files = survey(p.survey, run=run)
    documents = ingest(p.ingest, files, run=run)
    cleaned = clean(p.clean, documents, run=run)
    unique = dedup(p.dedup, cleaned, run=run)
    extend_index(p.dedup, cleaned, unique, run=run)
    splits = split(p.split, unique, run=run)
    clean_splits = decontaminate(p.decontaminate, splits, run=run)
    tokenizer = train_tokenizer(p.tokenizer, clean_splits, run=run)
    shards = shard(p.shard, tokenizer, clean_splits, run=run)
    model = train_phases(p, tokenizer, clean_splits, shards, run=run)
    if (objective := final_objective(p, model)) in NOT_RELEASED:
        log.info("%s: the run ends here: evaluate, export and release take no model of %s", model.stage, objective)
        return None
    model = prune(p.prune, model, shards, run=run) if p.prune.is_on else model
    evaluation = evaluate(p.evaluate, model, clean_splits, run=run)
    graph = export(p.export, model, shards, run=run)
    variants = compress(p.compress, graph, shards, run=run)
    made = (clean_splits, shards, model, evaluation, graph, variants)
    released = release(p.release, files, cleaned, unique, *made, run=run)
    return Candidate(released, evaluation)


def conclude(run: Run, registered: Registered | None) -> Outcome:
    """Record the model version and show the stages in both UIs."""
    if registered is not None:
        version = f"models:/{registered.name}/{registered.version}"
        run.update(run.record.model_copy(update={"model_version": version, "decision": registered.decision}))
    tag_outcome(run, registered)
    publish_stage_table(run)
    publish_losses_table(run)
    return Outcome(run.record.ended("completed"), run.manifests, registered)
