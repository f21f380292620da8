"""Training in phases: each is a stage of its own, so that its result is kept, looked at and gone on from."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from params.objective import BY_ROWS, FROM_EXAMPLES, IN_CHAT
from params.pipeline import PipelineParams
from params.train import PhaseParams, TrainParams
from tasks.artifacts.manifest import Manifest, work_of
from tasks.artifacts.record import RUNS_FOLDER, RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.drop_spans import DropSpansParams, drop_spans
from tasks.encode import encode, place_of
from tasks.shard import shard
from tasks.train import train
from tasks.training.orders import OrderBook

log = logging.getLogger(__name__)
_PATIENCE_S = 7 * 24 * 3600
"""A phase that nobody approves for so long ends the run; the same command waits again."""
_POLL_S = 1


class Learned(NamedTuple):
    """A trained model, and what its last phase learned from."""

    model: Manifest
    blocks: Manifest


def train_phases(
    p: PipelineParams,
    tokenizer: Manifest,
    splits: Manifest,
    shards: Manifest,
    *,
    base: Manifest | None = None,
    run: Run,
) -> Learned:
    """The model after the last phase; without phases there is a single one, called train.

    The first phase goes on from the weights of `base`, an earlier training, where there is one.
    """
    if not p.train.phases:
        single = _blocks(p, None, tokenizer, splits, shards, run)
        return Learned(train(p.train, tokenizer, single, run=run), single)
    models, orders = [] if base is None else [base], OrderBook(run.orders)
    blocks = [_blocks(p, phase, tokenizer, splits, shards, run) for phase in p.train.phases]  # what fails, fails early
    for phase, own in zip(p.train.phases, blocks, strict=True):
        params, step = p.train.of_phase(phase), train.named(phase.name)
        inputs = (tokenizer, own, *models[-1:])
        if phase.approve and run.plan is None and not step.is_stored(params, *inputs, run=run):
            _wait_for_approval(phase, run)
        models.append(step(params, *inputs, run=run))
        if any(order.do == "last_phase" for order in orders.read_new()):
            log.info("train.%s: the last phase, as was asked", phase.name)
            break
    run.reach(train.name)
    return Learned(models[-1], blocks[len(models) - 1 - (base is not None)])


def has_trained(manifests: Mapping[str, Manifest]) -> bool:
    """Whether a run has come to the end of a training."""
    return any(work_of(stage) == train.name for stage in manifests)


def trained(manifests: Mapping[str, Manifest]) -> Manifest:
    """The result of training in a run: of its last phase."""
    return [made for stage, made in manifests.items() if work_of(stage) == train.name][-1]


def check_examples(p: PipelineParams) -> None:
    """Refuse a run whose phases name examples that are not there, before anything runs."""
    for phase in p.train.phases or (None,):
        params = p.encode_of(phase)
        if params.objective in FROM_EXAMPLES:
            for source in params.sources:
                place_of(source)


class Asked(NamedTuple):
    """What a trained model is asked beside text, each as one more input of a stage or none."""

    examples: tuple[Manifest, ...]
    """What evaluation and release ask."""
    rows: tuple[Manifest, ...]
    """The same for export and compress, which ask rows only of models that are judged by them."""


def asked_of(p: PipelineParams, learned: Learned, text: tuple[Manifest, Manifest], *, run: Run) -> Asked:
    """What the last phase learned from, or test documents with gaps where it learned dropped spans.

    `text` are the tokenizer and the split documents.
    """
    last = _final(p, learned.model)
    if last.objective == "span_corruption":
        params = DropSpansParams(spans=last.spans, context=p.shard.context, max_documents=p.evaluate.max_documents)
        made = (drop_spans(params, *text, run=run),)
        return Asked(made, made)
    examples = (learned.blocks,) if last.objective in (*IN_CHAT, *BY_ROWS) else ()
    return Asked(examples, examples if last.objective in BY_ROWS else ())


def _final(p: PipelineParams, model: Manifest) -> TrainParams:
    """The phase that a model comes from."""
    ends = [phase for phase in p.train.phases if train.named(phase.name).name == model.stage]
    return p.train.of_phase(ends[0]) if ends else p.train


def encode_phase(p: PipelineParams, phase: PhaseParams | None, tokenizer: Manifest, run: Run) -> Manifest | None:
    """The examples that a phase learns from; None of one that learns from text."""
    params = p.encode_of(phase)
    if params.objective not in FROM_EXAMPLES:
        return None
    if phase is None:
        return encode(params, tokenizer, run=run)
    return encode.named(phase.name)(params, tokenizer, run=run)


def approve(store: Store, record: RunRecord, phase: str) -> None:
    """Let a phase of a run start."""
    _approval(store, record, phase).touch()


def _blocks(
    p: PipelineParams, phase: PhaseParams | None, tokenizer: Manifest, splits: Manifest, shards: Manifest, run: Run
) -> Manifest:
    """What a phase learns from: the token blocks of the run, others where it mixes the sources in its own way, or
    examples."""
    if (examples := encode_phase(p, phase, tokenizer, run)) is not None:
        return examples
    if phase is None or phase.mixture is None:
        return shards
    return _mixed(p, phase, tokenizer, splits, run)


def _mixed(p: PipelineParams, phase: PhaseParams, tokenizer: Manifest, splits: Manifest, run: Run) -> Manifest:
    params = type(p.shard).model_validate(p.shard.model_dump() | {"mixture": phase.mixture})
    return shard.named(phase.name)(params, tokenizer, splits, run=run)


def _wait_for_approval(phase: PhaseParams, run: Run) -> None:
    """Pause the flow until it is resumed in Prefect, or approved by command."""
    from prefect.flow_runs import pause_flow_run
    from prefect.runtime import flow_run

    approved = _approval(run.store, run.record, phase.name)
    log.info("train.%s: waits for approval: gristmill approve %s", phase.name, phase.name)
    ended = threading.Event()
    watch = threading.Thread(target=_resume_once_there, args=(approved, UUID(str(flow_run.id)), ended), daemon=True)
    watch.start()
    try:
        pause_flow_run(timeout=_PATIENCE_S, poll_interval=_POLL_S, key=phase.name)
    finally:
        ended.set()
        watch.join()
        approved.unlink(missing_ok=True)
    log.info("train.%s: approved", phase.name)


def _resume_once_there(approved: Path, flow_run_id: UUID, ended: threading.Event) -> None:
    """Resume a paused flow run when its approval lies in the store."""
    from prefect.exceptions import FlowPauseTimeout, NotPausedError
    from prefect.flow_runs import resume_flow_run

    while not ended.wait(_POLL_S):
        if approved.exists():
            try:
                resume_flow_run(flow_run_id)
            except (NotPausedError, FlowPauseTimeout):  # not paused yet, or not any more
                continue
            return


def _approval(store: Store, record: RunRecord, phase: str) -> Path:
    return store.root / RUNS_FOLDER / f"{record.run_id}.{phase}.approved"
