"""gristmill verify --store and gc --store: look after a store that several homes share."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from flows.home import locate_home, open_home
from flows.sharing import VARIABLE, shared_store
from params.errors import ParameterError, StoreError
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore, Stored
from tasks.artifacts.unfinished import FOLDER as UNFINISHED

_GRACE = timedelta(days=1)
"""How long what no run names is kept: its run may be under way, and writes its record after each stage."""
_LONGEST_RUN = timedelta(days=30)
"""A run that began earlier and never said how it ended was killed, and its home is gone."""


def add_option(*commands: argparse.ArgumentParser) -> None:
    """--store [URL]: the shared store in the place of the home's."""
    for command in commands:
        command.add_argument(
            "--store", nargs="?", const="", metavar="URL", help=f"a shared store instead of the home ({VARIABLE})"
        )


def named_store(url: str) -> RemoteStore:
    """The store behind --store URL, or that of the environment where --store stands alone."""
    found = shared_store(url=url)
    if found is None:
        raise ParameterError(f"--store without a URL needs {VARIABLE}; give one, such as --store s3://bucket/prefix")
    return found


def verify(arguments: argparse.Namespace) -> int:
    """Read every file of a shared store and compare it with its seal."""
    store = named_store(arguments.store)
    results = [stored for stored in store.listing() if arguments.stage in (None, stored.stage)]
    whole = [stored for stored in results if stored.is_whole]
    damaged = [stored for stored in whole if not _is_sound(store, stored)]
    print(f"{len(whole)} results in {store.url} read, {len(damaged)} damaged, {len(results) - len(whole)} unfinished")
    if damaged and arguments.remove:
        for stored in damaged:
            store.remove(stored.stage, stored.fingerprint)
        print(f"{_megabytes(damaged)} removed; a run that has them, or makes them, writes them there again")
    elif damaged:
        raise StoreError("remove damaged results with gristmill verify --store --remove; the next run writes them anew")
    return 0


def gc(arguments: argparse.Namespace, *, bears_alias: Callable[[RunRecord], bool]) -> int:
    """Remove from a shared store what no run of any home refers to."""
    if arguments.drop_index:
        raise ParameterError("--drop-index does not go with --store: indexes of duplicates are in the home")
    store = named_store(arguments.store)
    open_home(locate_home(arguments.home).root)  # whose MLflow knows which versions bear an alias
    records = [_record(text, store) for text in store.records()]
    forgotten = [record for record in _old_ones(records, arguments.keep_runs) if not bears_alias(record)]
    kept = [record for record in records if record not in forgotten]
    referenced = {(stage, done.fingerprint) for record in kept for stage, done in record.stages.items()}
    contents = store.contents()
    doomed = [s for s in contents.results if (s.stage, s.fingerprint) not in referenced and _is_old(s)]
    left = [one for one in contents.unfinished if _is_abandoned(one, store)]
    verb = "would remove" if arguments.dry_run else "removed"
    if not arguments.dry_run:
        for record in forgotten:
            store.remove_record(record.run_id)
    for stored in doomed:
        if not arguments.dry_run:
            store.remove(stored.stage, stored.fingerprint)
        print(f"{verb} {store.url}/{stored.stage}/{stored.fingerprint} ({_megabytes([stored])})")
    for stored in left:
        if not arguments.dry_run:
            store.unfinished(stored.stage, stored.fingerprint).remove()
        print(f"{verb} {store.url}/{UNFINISHED}/{stored.stage}/{stored.fingerprint} ({_megabytes([stored])})")
    would = "would be " if arguments.dry_run else ""
    print(f"{_megabytes(doomed + left)} {would}freed, {len(forgotten)} run records {would}forgotten, {len(kept)} kept")
    return 0


def _is_sound(store: RemoteStore, stored: Stored) -> bool:
    manifest = store.find(stored.stage, stored.fingerprint)
    problems = ["its manifest is damaged"] if manifest is None else store.verify(manifest)
    for problem in problems:
        print(problem)
    return not problems


def _record(text: bytes, store: RemoteStore) -> RunRecord:
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(f"{store.url}/runs: not a run record ({error}); nothing is removed") from None


def _old_ones(records: list[RunRecord], keep_runs: int | None) -> list[RunRecord]:
    """All but the newest runs and those under way."""
    if keep_runs is None:
        return []
    old = sorted(records, key=lambda record: record.run_id, reverse=True)[keep_runs:]
    return [r for r in old if r.status != "running" or _age(datetime.fromisoformat(r.started_at)) > _LONGEST_RUN]


def _is_old(stored: Stored) -> bool:
    return stored.written_at is None or _age(stored.written_at) > _GRACE


def _is_abandoned(work: Stored, store: RemoteStore) -> bool:
    """Whether nobody will go on with a training: its result is there, or no home has touched it for long."""
    is_done = store.find(work.stage, work.fingerprint) is not None
    return is_done or (work.written_at is not None and _age(work.written_at) > _LONGEST_RUN)


def _age(then: datetime) -> timedelta:
    return datetime.now(UTC) - then


def _megabytes(results: list[Stored]) -> str:
    return f"{sum(stored.size_bytes for stored in results) / 1e6:,.1f} MB"
