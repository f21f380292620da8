"""Which files came in which batch: one ledger per model, in `<store>/ledgers/<name>.json`, replaced in one step.

A batch is written down before any stage reads it, so a run that was killed goes on with the very same files, whatever
has arrived since. The index of duplicates grows with the batches; where a file of an earlier batch has gone or changed,
or the parameters have, a new generation begins: the same batches without those files, compared anew, in an index of
their own. Sealed results of batches that stayed the same are reused.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from params.errors import StoreError
from tasks.artifacts.digest import digest_value, write_atomic
from tasks.artifacts.manifest import InputRecord

LEDGERS_FOLDER = "ledgers"


class Batch(BaseModel):
    """Files that arrived together."""

    model_config = ConfigDict(frozen=True)
    listing: str
    """Digest of the lines that name its files."""
    arrived_at: str
    done: bool = False
    unique: InputRecord | None = None
    """What was unique in it, as a result of dedup; None where nothing was fit to learn from."""
    num_docs: int = 0
    num_bytes: int = 0


class Ledger(BaseModel):
    """The batches of a model, oldest first."""

    model_config = ConfigDict(frozen=True)
    name: str
    terms: str
    """Digest of what decides how a batch is read, cleaned and compared."""
    generation: int = 1
    batches: tuple[Batch, ...] = ()

    @property
    def index(self) -> str:
        """Name of its index of duplicates."""
        return self._index_of(self.generation)

    @property
    def past_indexes(self) -> list[str]:
        """Names of the indexes of earlier generations: nothing is compared with them any more."""
        return [self._index_of(generation) for generation in range(1, self.generation)]

    def with_batch(self, number: int, batch: Batch) -> "Ledger":
        """The ledger with another batch in the place of one."""
        return self.model_copy(update={"batches": (*self.batches[:number], batch, *self.batches[number + 1 :])})

    def _index_of(self, generation: int) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', self.name)}-generation-{generation}"


def load_ledger(store: Path, name: str) -> Ledger | None:
    """The ledger of a model; None where nothing has arrived yet."""
    path = _path(store, name)
    try:
        return Ledger.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(f"{path}: not a ledger ({error}); remove the file to begin a new one") from None


def save_ledger(store: Path, ledger: Ledger) -> None:
    """Replace the stored ledger."""
    path = _path(store, ledger.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ledger.model_dump_json(indent=1))


def listing_path(store: Path, name: str, listing: str) -> Path:
    """The file with the lines of a batch."""
    return _path(store, name).with_suffix("") / f"{listing}.jsonl"


def read_listing(store: Path, name: str, batch: Batch) -> list[str]:
    """The lines that name the files of a batch, as survey writes them."""
    return listing_path(store, name, batch.listing).read_text(encoding="utf-8").split("\n")[:-1]


def enter(store: Path, name: str, present: Sequence[str], *, terms: str, seen: Iterable[str]) -> Ledger:
    """Write down what has arrived and what has gone; `present` are the lines of all files there are now.

    A new ledger begins with the files that were `seen` by the champion, so that what came after it counts as new.
    """
    ledger, now = load_ledger(store, name), set(present)
    if ledger is None:
        known = now & set(seen)
        lists = [[line for line in present if line in known], [line for line in present if line not in known]]
        ledger = Ledger(name=name, terms=terms)
        batches = tuple(_batch(store, name, lines) for lines in lists if lines)
    else:
        lists = [read_listing(store, name, batch) for batch in ledger.batches]
        known = {line for lines in lists for line in lines}
        batches = ledger.batches
        if not known <= now or ledger.terms != terms:
            ledger = ledger.model_copy(update={"generation": ledger.generation + 1, "terms": terms})
            stayed = [[line for line in lines if line in now] for lines in lists]
            batches = tuple(
                _batch(store, name, lines, old.arrived_at) for old, lines in zip(batches, stayed, strict=True) if lines
            )
        new = [line for line in present if line not in known]
        batches = (*batches, _batch(store, name, new)) if new else batches
    entered = ledger.model_copy(update={"batches": batches})
    save_ledger(store, entered)
    return entered


def ledgers(store: Path) -> list[Ledger]:
    """The ledgers of all models, by name."""
    found = (load_ledger(store, path.stem) for path in sorted((store / LEDGERS_FOLDER).glob("*.json")))
    return [ledger for ledger in found if ledger is not None]


def unique_results(store: Path) -> list[InputRecord]:
    """Results of dedup that any ledger stands on."""
    return [batch.unique for ledger in ledgers(store) for batch in ledger.batches if batch.unique]


def _batch(store: Path, name: str, lines: list[str], arrived_at: str | None = None) -> Batch:
    listing = digest_value(lines)[:32]
    path = listing_path(store, name, listing)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_atomic(path, "".join(f"{line}\n" for line in lines))
    return Batch(listing=listing, arrived_at=arrived_at or datetime.now(UTC).isoformat(timespec="seconds"))


def _path(store: Path, name: str) -> Path:
    return store / LEDGERS_FOLDER / f"{name}.json"
