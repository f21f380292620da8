"""gristmill verify, gc and runs: look after the store."""

import argparse
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from flows import shared
from flows.console import make_console
from flows.holdings import holdings_of
from flows.home import Home, locate_home, open_home
from flows.indexes import indexes_to_drop
from flows.runs import is_alive
from params.errors import ParameterError, StoreError
from tasks.arrivals.ledger import unique_results
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, remove_record, run_records
from tasks.artifacts.store import Store, size_of
from tasks.duplicates.chain import drop_chain, results_in_use
from tasks.registry.lineage import ancestors


def verify(arguments: argparse.Namespace) -> int:
    """Read every stored file again and compare it with its seal."""
    if arguments.store is not None:
        return shared.verify(arguments)
    store = Store(locate_home(arguments.home).store)
    results = [result for result in store.results() if arguments.stage in (None, result.stage)]
    if arguments.stage and not results:
        known = sorted({result.stage for result in store.results()})
        raise ParameterError(f"no result of a stage {arguments.stage!r} in {store.root}; there is {', '.join(known)}")
    damaged = [result for result in results if not _is_sound(store, result)]
    num_files = sum(len(store.files_here(result)) for result in results)
    print(f"{num_files} files of {len(results)} results read, {len(damaged)} results damaged")
    if damaged and arguments.remove:
        print(f"{_megabytes(sum(store.remove(result.place) for result in damaged))} removed; the next run makes them")
    elif damaged:
        raise StoreError("remove damaged results with gristmill verify --remove; the next run makes them again")
    return 0


def gc(arguments: argparse.Namespace) -> int:
    """Remove what no run and no index of documents refers to."""
    if arguments.store is not None:
        return shared.gc(arguments, bears_alias=_bears_alias)
    home = locate_home(arguments.home)
    dropped = indexes_to_drop(home.store, arguments.drop_index)
    if home.root.exists():
        open_home(home.root)
    store = Store(home.store)
    forgotten = _records_to_forget(home, arguments.keep_runs)
    kept = [record for record in run_records(store.root) if record not in forgotten]
    if not arguments.dry_run:
        for record in forgotten:
            remove_record(store.root, record.run_id)
    for name in dropped:
        if not arguments.dry_run:
            drop_chain(store.root, name)
        print(f"{'would drop' if arguments.dry_run else 'dropped'} index {name}")
    freed = 0
    for path in _unreferenced(store, kept, dropped, drafts=arguments.drafts):
        size = size_of(path) if arguments.dry_run else store.remove_unused(path)
        if size is None:
            print(f"in use, kept: {path}")
            continue
        freed += size
        print(f"{'would remove' if arguments.dry_run else 'removed'} {path} ({_megabytes(size)})")
    would = "would be " if arguments.dry_run else ""
    print(f"{_megabytes(freed)} {would}freed, {len(forgotten)} run records {would}forgotten, {len(kept)} kept")
    return 0


def list_runs(arguments: argparse.Namespace) -> int:
    """Print the runs, newest last."""
    home = locate_home(arguments.home)
    table = Table()
    for name in ("Run", "Preset", "Status", "Started (UTC)", "Took", "Made", "Reused", "Model"):
        table.add_column(name, no_wrap=True)
    for record in run_records(home.store):
        reused = sum(stage.reused for stage in record.stages.values())
        model = (record.model_version or "").removeprefix("models:/")
        row = (record.run_id, record.preset, _status(home, record), record.started_at[:16].replace("T", " "))
        made = str(len(record.stages) - reused)
        table.add_row(*(Text(cell) for cell in (*row, _took(record), made, str(reused), model)))
    console = make_console()
    console.width = max(console.width, 120)
    console.print(table if table.row_count else f"no runs in {home.root} yet; start one with gristmill run")
    if (holdings := holdings_of(home)) is not None:
        console.print(Text(f"shared store {'; '.join(holdings.lines)}"))
    return 0


def show_run(arguments: argparse.Namespace) -> int:
    """Print one run with its stages and where their results lie."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.id)
    facts = {
        "run": record.run_id,
        "preset": record.preset,
        "overrides": record.overrides or "none",
        "status": f"{_status(home, record)}{f': {record.error}' if record.error else ''}",
        "took": _took(record),
        "MLflow run": record.mlflow_run_id,
        "Prefect flow run": record.flow_run_id,
        "model": record.model_version,
        "notes": "; ".join(record.notes) or None,
    }
    for name, value in facts.items():
        print(f"{name:<17} {value if value is not None else '-'}")
    for stage, done in record.stages.items():
        folder = Store(home.store).folder(stage, done.fingerprint)
        where = folder if folder.exists() else f"{folder} (removed)"
        print(f"  {stage:<16} {'reused' if done.reused else 'made':<7} {done.wall_s:>8.1f} s  {where}")
    return 0


def delete_run(arguments: argparse.Namespace) -> int:
    """Forget a run; its results stay until gc."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.id)
    if record.status == "running" and is_alive(home, record):
        raise StoreError(f"run {record.run_id} is under way; end it first")
    remove_record(home.store, record.run_id)
    print(f"run {record.run_id} is forgotten; gristmill gc removes results that no other run stands on")
    return 0


def _is_sound(store: Store, result: Manifest) -> bool:
    damages = store.verify(result)
    for damage in damages:
        print(f"{damage.path}: {damage.problem}")
    return not damages


def _records_to_forget(home: Home, keep_runs: int | None) -> list[RunRecord]:
    """All but the newest runs, those under way and those whose model version bears an alias."""
    if keep_runs is None:
        return []
    newest_first = sorted(run_records(home.store), key=lambda record: record.run_id, reverse=True)
    old = [record for record in newest_first[keep_runs:] if not is_alive(home, record)]
    return [record for record in old if not _bears_alias(record)]


def _bears_alias(record: RunRecord) -> bool:
    """Whether people may be served by a run's model. Raises ServerError: a registry that is down does not say no."""
    if record.model_version is None:
        return False
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from tasks.tracking import answering_registry

    name, version = record.model_version.removeprefix("models:/").rsplit("/", 1)
    with answering_registry():
        try:
            return bool(MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_model_version(name, version).aliases)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # deleted from the registry since
                raise
            return False


def _unreferenced(store: Store, kept: list[RunRecord], dropped: list[str], *, drafts: bool) -> Iterator[Path]:
    referenced = {(stage, done.fingerprint) for record in kept for stage, done in record.stages.items()}
    referenced |= {("dedup", fingerprint) for fingerprint in results_in_use(store.root, without=dropped)}
    referenced |= {(made.stage, made.fingerprint) for made in _arrived(store)}
    yield from (r.place for r in list(store.results()) if (r.stage, r.fingerprint) not in referenced)
    if drafts:
        yield from store.drafts()
    yield from store.removed()


def _arrived(store: Store) -> list[Manifest]:
    """What the batches of any ledger stand on: without it they would have to be read again."""
    held = (store.find(unique.stage, unique.fingerprint) for unique in unique_results(store.root))
    return ancestors([found for found in held if found is not None], store)


def find_run(home: Home, start: str | None = None, *, stage: str | None = None) -> RunRecord:
    """The run whose id begins so; without a beginning the newest, or the newest that came to a stage."""
    records = list(run_records(home.store))
    if start is None and not records:
        raise ParameterError(f"no runs in {home.root} yet; start one with gristmill run")
    if start is None:
        came = [record for record in records if _came_to(record, stage)]
        return (came or [record for record in records if record.status == "completed"] or records)[-1]
    found = [record for record in records if record.run_id.startswith(start)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} runs begin with" if found else "no run is named"
    raise ParameterError(f"{what} {start!r}; gristmill runs list shows them")


def _came_to(record: RunRecord, stage: str | None) -> bool:
    """Whether a run has a stage, or a part of it such as train.first."""
    return stage is None or any(name == stage or name.startswith(f"{stage}.") for name in record.stages)


def _status(home: Home, record: RunRecord) -> str:
    return "killed" if record.status == "running" and not is_alive(home, record) else record.status


def _took(record: RunRecord) -> str:
    if record.ended_at is None:
        return "-"
    seconds = (datetime.fromisoformat(record.ended_at) - datetime.fromisoformat(record.started_at)).total_seconds()
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
