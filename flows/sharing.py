"""The store that a home shares with others: run.store, or GRISTMILL_STORE for every command."""

import os
from collections.abc import Mapping

from params.errors import ParameterError
from params.place import check_url
from params.run import RunParams
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import PATIENCE_S, RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store

VARIABLE = "GRISTMILL_STORE"


def shared_store(
    settings: RunParams | None = None,
    url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    patience_s: float = PATIENCE_S,
) -> RemoteStore | None:
    """The store behind a URL, that of a run's settings or that of the environment; None where none is named."""
    chosen = url or (settings.store if settings else None) or environ.get(VARIABLE)
    if not chosen:
        return None
    try:
        check_url(chosen, VARIABLE)
    except ValueError as error:
        raise ParameterError(str(error)) from None
    if "://" not in chosen:
        raise ParameterError(f"{chosen}: no URL of a store; write s3://bucket/prefix or file:///folder")
    options = settings.store_options if settings else {}
    return RemoteStore(chosen, options, patience_s=patience_s)


def share(store: Store, settings: RunParams) -> Store:
    """The store of a home, sharing its results if so set. Raises StoreError where that store does not take any."""
    shared = shared_store(settings)
    if shared is None:
        return store
    shared.check()
    return Store(store.root, Sharing(shared))


def share_rest(store: Store, record: RunRecord) -> RunRecord:
    """At the end of a run: write what could not be written before; the record, with a note of what still could not."""
    if store.shared is None or (left := store.shared.finish(record)) is None:
        return record
    return record.model_copy(update={"notes": (*record.notes, left)})
