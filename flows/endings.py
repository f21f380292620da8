"""The notice at the end of each run, however it ends: its verdict and reasons, key numbers and links."""

import logging
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from flows.console import LOG_FILE
from flows.home import Home
from params.errors import BrokenTrainingError, GristmillError
from params.notify import NotifyParams
from tasks.artifacts.manifest import Manifest, work_of
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.notices.message import Notice, Verdict
from tasks.notices.redaction import redacted
from tasks.notices.sending import channels_of, send_notice
from tasks.watching.containment import Contained

log = logging.getLogger(__name__)

_FIGURES = {
    "val_loss": ("train/final_val_loss", "train/val_loss"),
    "loss": ("train/loss",),
    "test_bits_per_byte": ("evaluate.test/bits_per_byte",),
    "accuracy": ("evaluate.classification/accuracy",),
    "steps": ("train/steps",),
    "tokens": ("train/tokens",),
    "tokens_per_s": ("train/mean_tokens_per_s", "train/tokens_per_s"),
    "training_s": ("train/training_s",),
    "cost": ("train/cost",),
}
"""Where MLflow has the key numbers; the first name that it has counts."""

_VERDICTS: dict[str, Verdict] = {"converged": "converged", "budget": "budget", "asked": "asked"}
_TRAIN = "train"
_ESSENCE = 200
"""Characters of a reason on the console, where the error itself follows."""


@contextmanager
def told_at_end(
    params: NotifyParams, record: RunRecord, home: Home, *, model: str, flow_run_url: str | None
) -> Iterator[None]:
    """Tell how the block, which is the run of this record, ended; first warn of channels that cannot tell it."""
    check_channels(params)
    try:
        yield
    finally:
        announce_end(params, record, home, model=model, error=sys.exc_info()[1], flow_run_url=flow_run_url)


def check_channels(params: NotifyParams) -> None:
    """Warn before a run of what would keep its end from being told."""
    for channel in channels_of(params):
        if channel.missing is not None:
            log.warning(
                "%s: the environment variable %s is not set: nobody will be told there how this run ends",
                channel.name,
                channel.missing,
            )


def announce_end(
    params: NotifyParams,
    begun: RunRecord,
    home: Home,
    *,
    model: str,
    error: BaseException | None,
    flow_run_url: str | None = None,
) -> None:
    """Tell console, log and every channel how a run ended; whatever goes wrong here is but a warning."""
    with Contained(log, "nobody was told how the run ended"):
        record = next((saved for saved in run_records(home.store) if saved.run_id == begun.run_id), begun)
        train = _train_result(home, record)
        verdict, reasons = how_it_ended(error, train.metrics.facts if train is not None else {}, asked=record.asked)
        reasons = (*reasons, *record.notes)
        links = {"prefect": flow_run_url or "", "folder": str(home.store if train is None else train.place)}
        _announce(params, record, home, model=model, verdict=verdict, reasons=reasons, links=links)


def announce_death(params: NotifyParams, record: RunRecord, home: Home, *, model: str) -> None:
    """Tell that a run's process is gone; whoever notices it does so, over its own channels."""
    with Contained(log, f"nobody was told that run {record.run_id} is dead"):
        reasons = ("its process is gone: killed, or the machine went down",)
        _announce(params, record, home, model=model, verdict="killed", reasons=reasons, links={})


def how_it_ended(
    error: BaseException | None, facts: Mapping[str, str], *, asked: str | None = None
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons, by who asked for the end, the error that it was, or else what training's result says."""
    if asked is not None:
        return "asked", (asked,)
    if error is None:
        return _VERDICTS.get(facts.get("verdict", ""), "completed"), tuple(filter(None, [facts.get("stop_reason")]))
    if isinstance(error, BrokenTrainingError):
        return "broken", (str(error),)
    if isinstance(error, Exception):
        kind = "" if isinstance(error, GristmillError) else f"{type(error).__name__}: "
        return "failed", (f"{kind}{error}",)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", ("Ctrl-C",)
    return "interrupted", (f"asked to end by a signal ({type(error).__name__})",)


def _announce(
    params: NotifyParams,
    record: RunRecord,
    home: Home,
    *,
    model: str,
    verdict: Verdict,
    reasons: tuple[str, ...],
    links: Mapping[str, str],
) -> None:
    secrets = [secret for channel in channels_of(params) for secret in channel.secrets]
    safe = tuple(redacted(reason, secrets) for reason in reasons)
    essence = f" ({safe[0].splitlines()[0][:_ESSENCE]})" if safe and safe[0] else ""
    log.info("run %s ended: %s%s", record.run_id, verdict, essence)
    if not params.has_channels:
        return
    figures, page = _mlflow(record)
    all_links = {"version": record.model_version, "mlflow": page, **links, "log": str(home.logs / LOG_FILE)}
    notice = Notice(
        verdict,
        run_id=record.run_id,
        preset=record.preset,
        model=model,
        host=platform.node(),
        reasons=safe,
        seconds=_seconds(record),
        figures=figures,
        links={name: text for name, text in all_links.items() if text},
    )
    for delivery in send_notice(notice, params):
        if delivery.problem is not None:
            log.warning("%s was not told how the run ended: %s", delivery.channel, delivery.problem)


def _train_result(home: Home, record: RunRecord) -> Manifest | None:
    stage = _last_training(record)
    return Store(home.store).find(stage, record.stages[stage].fingerprint) if stage in record.stages else None


def _last_training(record: RunRecord) -> str:
    """Name of the stage: train, or of phases the last one that came to its end."""
    return [_TRAIN, *(stage for stage in record.stages if work_of(stage) == _TRAIN)][-1]


def _mlflow(record: RunRecord) -> tuple[dict[str, float], str | None]:
    """The key numbers that MLflow has of a run, and the address of its page; nothing where MLflow is gone."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if record.mlflow_run_id is None:
        return {}, None
    uri = os.environ["MLFLOW_TRACKING_URI"]
    try:
        found = MlflowClient(uri).get_run(record.mlflow_run_id)
    except (MlflowException, OSError) as error:
        log.warning("the notice has no figures: MLflow does not answer (%s)", str(error).splitlines()[0])
        return {}, None
    stage, metrics = _last_training(record), found.data.metrics
    named = {name: [key.replace("train.", f"{stage}.", 1) for key in keys] for name, keys in _FIGURES.items()}
    figures = {
        name: metrics[key]
        for name, keys in named.items()
        if (key := next((key for key in keys if key in metrics), None)) is not None
    }
    page = f"{uri.rstrip('/')}/#/experiments/{found.info.experiment_id}/runs/{record.mlflow_run_id}"
    return figures, redacted(page) if uri.startswith(("http://", "https://")) else None


def _seconds(record: RunRecord) -> float:
    end = datetime.fromisoformat(record.ended_at) if record.ended_at else datetime.now(UTC)
    return (end - datetime.fromisoformat(record.started_at)).total_seconds()
