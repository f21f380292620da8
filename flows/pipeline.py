"""Raw text to a released model: gristmill run PRESET, or prefect deployment run pipeline/gristmill."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prefect import flow

from flows.phases import asked_of, check_examples, has_trained, train_phases
from flows.runs import begin_run
from flows.summary import publish_links, publish_losses_table, publish_stage_table, tag_outcome
from flows.usage import publish_usage
from params.load import load_params
from params.pipeline import PipelineParams, Until
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.clean import clean
from tasks.compress import compress
from tasks.context import Reached, Run
from tasks.decontaminate import decontaminate
from tasks.dedup import dedup
from tasks.evaluate import check_questions, evaluate
from tasks.export import export
from tasks.ingest import ingest
from tasks.prune import prune
from tasks.register import Registered, register
from tasks.release import release
from tasks.shard import shard
from tasks.split import split
from tasks.survey import survey
from tasks.train_tokenizer import train_tokenizer


class Prepared(NamedTuple):
    """Text that may be learned from."""

    files: Manifest
    cleaned: Manifest
    unique: Manifest
    splits: Manifest


class Candidate(NamedTuple):
    """What the gate decides on."""

    model: Manifest
    released: Manifest
    evaluation: Manifest


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    record: RunRecord
    manifests: dict[str, Manifest]
    registered: Registered | None
    """None where the run ended before the registry."""
    until: str | None = None
    """The stage that the run was to end with."""


@flow(persist_result=False)
def pipeline(
    preset: str = "quickstart", overrides: dict[str, Any] | None = None, until: Until | None = None
) -> Outcome:
    """Turn raw text into a released language model; stages whose results are stored are reused.

    Args:
        preset: Name of a built-in preset, or path of a .yaml file where the flow runs.
        overrides: Values laid over the preset, nested or dotted, such as {"train.seed": 7}.
        until: The last stage to run; none for all of them and the registry.
    """
    return run_chain(load_params(preset, overrides), preset, overrides or {}, until=until)


def run_chain(p: PipelineParams, preset: str, overrides: dict[str, Any], *, until: Until | None = None) -> Outcome:
    """The stages of a run inside a flow, and the registry unless the run ends before."""
    with begin_run(p, preset, overrides, until=until) as run:
        try:
            candidate = chain(p, run)
        except Reached:
            return conclude(run, None)
        return conclude(run, register(p.release, candidate.released, candidate.evaluation, run=run))


def chain(p: PipelineParams, run: Run) -> Candidate:
    """The stages from raw text to the bundle that may be released; a planning run only walks along them."""
    check_examples(p)
    check_questions(p.evaluate)
    files = survey(p.survey, run=run)
    documents = ingest(p.ingest, files, run=run)
    cleaned = clean(p.clean, documents, run=run)
    unique = dedup(p.dedup, cleaned, run=run)
    splits = split(p.split, unique, run=run)
    clean_splits = decontaminate(p.decontaminate, splits, run=run)
    return learn(p, Prepared(files, cleaned, unique, clean_splits), run)


def learn(p: PipelineParams, text: Prepared, run: Run, *, base: Manifest | None = None) -> Candidate:
    """The stages from prepared text to the bundle that may be released.

    Training goes on from `base`, where there is one.
    """
    clean_splits = text.splits
    tokenizer = train_tokenizer(p.tokenizer, clean_splits, run=run)
    shards = shard(p.shard, tokenizer, clean_splits, run=run)
    learned = train_phases(p, tokenizer, clean_splits, shards, base=base, run=run)
    model, (examples, rows) = learned.model, asked_of(p, learned, (tokenizer, clean_splits), run=run)
    model = prune(p.prune, model, shards, run=run) if p.prune.is_on else model
    evaluation = evaluate(p.evaluate, model, clean_splits, *examples, run=run)
    graph = export(p.export, model, shards, *rows, run=run)
    variants = compress(p.compress, graph, shards, *rows, run=run)
    made = (clean_splits, shards, model, evaluation, graph, variants)
    released = release(p.release, *text[:3], *made, *examples, run=run)
    return Candidate(model, released, evaluation)


def conclude(run: Run, registered: Registered | None) -> Outcome:
    """Record the model version, if any, and show the stages in both UIs."""
    if registered is not None:
        version = f"models:/{registered.name}/{registered.version}"
        run.update(run.record.model_copy(update={"model_version": version, "decision": registered.decision}))
    if has_trained(run.manifests):
        tag_outcome(run, registered)
    publish_stage_table(run)
    publish_losses_table(run)
    publish_links(run)
    publish_usage(run)
    return Outcome(run.record.ended("completed"), run.manifests, registered, run.until)
