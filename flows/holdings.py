"""What a home and the store that it shares have of each other's results, for gristmill status and runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from flows.home import Home
from flows.sharing import shared_store
from params.errors import GristmillError, StoreError
from params.load import load_params
from params.run import RunParams
from tasks.artifacts.record import run_records
from tasks.artifacts.store import Store

_PATIENCE_S = 0.0
"""A glance: runs ask a store that does not answer for half a minute, its driver a few times in any case."""


@dataclass(frozen=True)
class Holdings:
    """The results of a home and of its shared store."""

    url: str
    problem: str | None = None
    """Why the store cannot be read."""
    there: int = 0
    size_bytes: int = 0
    unfinished: int = 0
    """Without a manifest: being written, or left by a process that was killed."""
    alone_there: tuple[str, ...] = ()
    """Stages whose files this home has not, or not all of them."""
    alone_bytes: int = 0
    alone_here: tuple[str, ...] = ()
    """Stages that are not in the shared store."""

    @property
    def lines(self) -> list[str]:
        """What people read."""
        if self.problem is not None:
            return [f"{self.url} cannot be read: {self.problem}"]
        unfinished = f", {self.unfinished} unfinished" if self.unfinished else ""
        alone = f"{_named(self.alone_there)}, {self.alone_bytes / 1e6:,.1f} MB" if self.alone_there else "nothing"
        return [
            f"{self.url}: {self.there} results, {self.size_bytes / 1e6:,.1f} MB{unfinished}",
            f"only there: {alone}",
            f"only here: {_named(self.alone_here) if self.alone_here else 'nothing'}",
        ]


def holdings_of(home: Home) -> Holdings | None:
    """What is there, here and on one side alone; None where this home shares with no store.

    That store is the one of the newest run's settings, or of the environment.
    """
    shared = shared_store(_newest_settings(home), patience_s=_PATIENCE_S)
    if shared is None:
        return None
    try:
        listed = shared.listing()
    except StoreError as error:
        return Holdings(shared.url, str(error))
    store = Store(home.store)
    here = {(made.stage, made.fingerprint): made for made in store.results()}
    whole = {(one.stage, one.fingerprint): one for one in listed if one.is_whole}
    lacking = {key: one.size_bytes for key, one in whole.items() if key not in here}
    for key in whole.keys() & here.keys():
        present = store.files_here(here[key])
        if len(present) < len(here[key].files):
            lacking[key] = sum(file.size_bytes for file in here[key].files if file not in present)
    return Holdings(
        shared.url,
        there=len(whole),
        size_bytes=sum(one.size_bytes for one in whole.values()),
        unfinished=len(listed) - len(whole),
        alone_there=tuple(stage for stage, _ in sorted(lacking)),
        alone_bytes=sum(lacking.values()),
        alone_here=tuple(stage for stage, _ in sorted(here.keys() - whole.keys())),
    )


def _newest_settings(home: Home) -> RunParams | None:
    """The run.… of the newest run, unless its preset has gone or changed its form."""
    records = list(run_records(home.store))
    if not records:
        return None
    try:
        return load_params(records[-1].preset, records[-1].overrides).run
    except GristmillError:
        return None


def _named(stages: Iterable[str]) -> str:
    """How many results, and of which stages."""
    found = list(stages)
    return f"{len(found)} ({', '.join(dict.fromkeys(found))})"
