"""New text into the store: only files that no batch holds yet go through ingest, clean and dedup."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from params.pipeline import PipelineParams
from tasks.arrivals.ledger import Batch, Ledger, enter, listing_path, read_listing, save_ledger
from tasks.arrive import ArriveParams, arrive
from tasks.artifacts.digest import digest_value
from tasks.artifacts.manifest import Manifest
from tasks.clean import clean
from tasks.context import Run
from tasks.dedup import dedup
from tasks.ingest import ingest
from tasks.survey import FILES_NAME, source_line, survey

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrived:
    """All unique text there is, by batch."""

    files: Manifest
    """What survey sees now."""
    lines: frozenset[str]
    batches: tuple[Batch, ...]
    """Those that hold text fit to learn from."""
    unique: tuple[Manifest, ...]
    """The unique documents of each."""
    listings: tuple[frozenset[str], ...]
    """The files of each, as lines of survey."""

    def new_to(self, seen: frozenset[str]) -> tuple[int, ...]:
        """Numbers of the batches with a file that is not among these."""
        return tuple(number for number, lines in enumerate(self.listings) if not lines <= seen)


def absorb(p: PipelineParams, run: Run, *, seen: Iterable[str]) -> Arrived:
    """Enter what has arrived into the ledger of the model, and read what no run has read yet."""
    files = survey(p.survey, run=run)
    lines = files.file(FILES_NAME).read_text(encoding="utf-8").split("\n")[:-1]
    name, store = p.release.model_name, run.store.root
    ledger = enter(store, name, lines, terms=_terms(p), seen=seen)
    _say(ledger)
    for number, batch in enumerate(ledger.batches):
        if not batch.done or (batch.unique and _stored(batch, run) is None):
            ledger = ledger.with_batch(number, _read(p, ledger, batch, run))
            save_ledger(store, ledger)
    held = [batch for batch in ledger.batches if batch.unique is not None]
    unique = tuple(found for batch in held if (found := _stored(batch, run)) is not None)
    assert len(unique) == len(held), "what a ledger stands on is kept"
    listings = tuple(frozenset(read_listing(store, name, batch)) for batch in held)
    return Arrived(files, frozenset(lines), tuple(held), unique, listings)


def _read(p: PipelineParams, ledger: Ledger, batch: Batch, run: Run) -> Batch:
    """A batch through the stages; what none of them finds fit to learn from ends there."""
    listing = listing_path(run.store.root, ledger.name, batch.listing)
    documents = ingest(p.ingest, arrive(ArriveParams(survey=p.survey, listing=str(listing)), run=run), run=run)
    done = batch.model_copy(update={"done": True, "unique": None, "num_docs": 0, "num_bytes": 0})
    if not documents.metrics.counts["docs_kept"]:
        return done
    cleaned = clean(p.clean, documents, run=run)
    if not cleaned.metrics.counts["docs_kept"]:
        return done
    params = p.dedup.model_copy(update={"index": ledger.index})
    unique = dedup(params, cleaned, run=run)
    counts = unique.metrics.counts
    sizes = {"num_docs": counts["docs_kept"], "num_bytes": counts["bytes_kept"]}
    return done.model_copy(update={"unique": unique.reference(), **sizes})


def _stored(batch: Batch, run: Run) -> Manifest | None:
    assert batch.unique is not None
    found = run.store.find(dedup.name, batch.unique.fingerprint)
    return found if found is not None and run.store.is_complete(found) and run.store.hold(found) else None


def _terms(p: PipelineParams) -> str:
    """What decides how a batch is read, cleaned and compared; where the sources lie does not."""
    versions = {stage.name: stage.version for stage in (arrive, ingest, clean, dedup)}
    sections = {name: getattr(p, name).model_dump(mode="json") for name in ("ingest", "clean", "dedup")}
    return digest_value([versions, sections, list(map(source_line, p.survey.sources))])[:32]


def _say(ledger: Ledger) -> None:
    waiting = [batch for batch in ledger.batches if not batch.done]
    if waiting:
        log.info("%s: %d of %d batches are to be read", ledger.name, len(waiting), len(ledger.batches))
