"""Look after a home between runs: prefect deployment run maintenance/maintenance, and the voice of the automations."""

import argparse
import logging
import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow

from flows import housekeeping
from flows.console import prefect_logs
from flows.home import Home, open_home
from params.errors import ServerError, StoreError
from params.load import load_params
from params.notify import NotifyParams
from tasks.artifacts.record import RunRecord, run_records
from tasks.notices.message import Notice
from tasks.notices.redaction import redacted
from tasks.notices.sending import send_notice

log = logging.getLogger(__name__)


@flow(persist_result=False)
def maintenance(
    preset: str = "quickstart",
    keep_runs: int | None = 30,
    verify: bool = True,
    max_hours_without_run: float | None = None,
) -> None:
    """Free disk space, check what is stored, and tell people when no run has ended for too long.

    Args:
        preset: Whose section notify says who is told, and whose model is meant.
        keep_runs: Forget all but this many of the newest runs, those with an alias excepted; none to forget none.
        verify: Read every stored file again and compare it with its seal.
        max_hours_without_run: Tell people when no run has completed for so many hours; none to leave it.
    """
    params = load_params(preset)
    home = open_home(params.run.home)
    problems: list[str] = []
    with prefect_logs():
        rest = {"drafts": False, "dry_run": False, "drop_index": [], "store": None}
        housekeeping.gc(argparse.Namespace(home=home.root, keep_runs=keep_runs, **rest))
        if verify:
            problems += _damage(home)
        if max_hours_without_run is not None:
            problems += _silence(list(run_records(home.store)), timedelta(hours=max_hours_without_run))
        for problem in problems:
            tell(params.notify, problem, preset=preset, model=params.release.model_name)
    if problems:
        raise StoreError("; ".join(problems))


@flow(persist_result=False)
def alert(what: str, preset: str = "quickstart") -> None:
    """Tell people over the channels of a preset.

    Args:
        what: What has happened.
        preset: Whose section notify says who is told.
    """
    params = load_params(preset)
    open_home(params.run.home)
    with prefect_logs():
        log.warning("alert: %s", what)
        tell(params.notify, what, preset=preset, model=params.release.model_name)


def tell(params: NotifyParams, what: str, *, preset: str, model: str) -> None:
    """Send a warning over every channel. Raises ServerError when one did not take it."""
    notice = Notice(
        "warning", run_id="-", preset=preset, model=model, host=platform.node(), reasons=(redacted(what, []),)
    )
    problems = [f"{sent.channel}: {sent.problem}" for sent in send_notice(notice, params) if sent.problem]
    if problems:
        raise ServerError(f"the alert was not delivered: {'; '.join(problems)}")


def _damage(home: Home) -> list[str]:
    try:
        housekeeping.verify(argparse.Namespace(home=home.root, stage=None, remove=False, store=None))
    except StoreError as error:
        return [f"the store of {home.root} is damaged: {error}"]
    return []


def _silence(records: list[RunRecord], limit: timedelta) -> list[str]:
    ended = [record.ended_at for record in records if record.status == "completed" and record.ended_at]
    newest = max(map(datetime.fromisoformat, ended), default=None)
    if newest is not None and datetime.now(UTC) - newest <= limit:
        return []
    since = f"since {newest:%Y-%m-%d %H:%M} UTC" if newest else "ever"
    return [f"no run has completed {since}; the limit is {limit.total_seconds() / 3600:g} hours"]


def preset_path(preset: str) -> str:
    """A preset as a worker finds it: a path is made absolute."""
    return str(Path(preset).absolute()) if preset.endswith((".yaml", ".yml")) else preset
