"""Training in phases: each is a stage of its own, so that its result is kept, looked at and gone on from."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from params.pipeline import PipelineParams
from params.train import PhaseParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RUNS_FOLDER, RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.shard import shard
from tasks.train import train
from tasks.training.orders import OrderBook

log = logging.getLogger(__name__)
_PATIENCE_S = 7 * 24 * 3600
"""A phase that nobody approves for so long ends the run; the same command waits again."""
_POLL_S = 1


def train_phases(p: PipelineParams, tokenizer: Manifest, splits: Manifest, shards: Manifest, *, run: Run) -> Manifest:
    """The model after the last phase; without phases there is a single one, called train."""
    if not p.train.phases:
        return train(p.train, tokenizer, shards, run=run)
    models, orders = list[Manifest](), OrderBook(run.orders)
    for phase in p.train.phases:
        params, step = p.train.of_phase(phase), train.named(phase.name)
        inputs = (tokenizer, _blocks(p, phase, tokenizer, splits, shards, run), *models[-1:])
        if phase.approve and run.plan is None and not step.is_stored(params, *inputs, run=run):
            _wait_for_approval(phase, run)
        models.append(step(params, *inputs, run=run))
        if any(order.do == "last_phase" for order in orders.read_new()):
            log.info("train.%s: the last phase, as was asked", phase.name)
            break
    return models[-1]


def trained(manifests: Mapping[str, Manifest]) -> Manifest:
    """The result of training in a run: of its last phase."""
    return [made for stage, made in manifests.items() if stage.partition(".")[0] == train.name][-1]


def approve(store: Store, record: RunRecord, phase: str) -> None:
    """Let a phase of a run start."""
    _approval(store, record, phase).touch()


def _blocks(
    p: PipelineParams, phase: PhaseParams, tokenizer: Manifest, splits: Manifest, shards: Manifest, run: Run
) -> Manifest:
    """The token blocks of a phase: those of the run, or others where it mixes the sources in its own way."""
    if phase.mixture is None:
        return shards
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
