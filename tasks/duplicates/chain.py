"""Which results an index stands on: one link per batch of documents, in the order they were added.

`<store>/indexes/<name>.json` holds the chain and is replaced in one step, after the result it names is sealed. A run
killed between the two leaves the old chain; the same run started again finds its sealed result and adds the link.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from params.dedup import DedupParams
from params.errors import ParameterError, StoreError
from tasks.artifacts.digest import digest_value, write_atomic
from tasks.artifacts.lock import locked
from tasks.duplicates.segment_files import INDEX_FOLDER, SEGMENTS_NAME

INDEXES_FOLDER = "indexes"
HASHING = 2
"""Number of the way in which signatures.py makes hashes: those of different ways cannot be compared."""

_TERMS = ("near", "signature", "min_similarity", "shingle_words", "shingle_characters", "seed")


class Link(BaseModel):
    """A batch in an index."""

    model_config = ConfigDict(frozen=True)
    documents: str
    """Digest of the cleaned documents."""
    params: str
    """Digest of the parameters."""
    fingerprint: str
    """Of the result of dedup."""
    digest: str
    """Of its bytes, the segment and the names of the older ones included."""


class Chain(BaseModel):
    """An index: what all its batches agree on, and the batches."""

    model_config = ConfigDict(frozen=True)
    name: str
    terms: dict[str, bool | int | float | str | None]
    hashing: int = 1
    """How signatures were made: HASHING of the version that began the index."""
    links: tuple[Link, ...] = ()

    def up_to(self, documents: str) -> "Chain":
        """The chain that a batch is or was compared with: all of it for a new one, else what came before it."""
        for number, link in enumerate(self.links):
            if link.documents == documents:
                return self.model_copy(update={"links": self.links[:number]})
        return self

    @property
    def state(self) -> str:
        """Decides what the index holds."""
        if not self.links:
            return "empty"
        batches = "1 batch" if len(self.links) == 1 else f"{len(self.links)} batches"
        return f"{batches}, {self.links[-1].digest}"


def read_chain(store: Path, params: DedupParams) -> Chain:
    """The chain of the index that the parameters name, which must agree with them; empty if there is none yet."""
    assert params.index is not None, "no index is named"
    terms = {term: getattr(params, term) for term in _TERMS}
    chain = _load(_path(store, params.index)) or Chain(name=params.index, terms=terms, hashing=HASHING)
    if params.near and chain.hashing != HASHING:
        raise ParameterError(
            f"dedup.index {chain.name!r} was made by another version of Gristmill, whose signatures cannot be compared "
            "with those of this one; name a new index and bring the earlier batches once more"
        )
    if differing := [term for term in _TERMS if chain.terms.get(term) != terms[term]]:
        said = ", ".join(f"dedup.{term} is {terms[term]} and not {chain.terms.get(term)}" for term in differing)
        raise ParameterError(
            f"dedup.index {chain.name!r} was made otherwise: {said}; set them back, or name a new index for these"
        )
    return chain


def link_of(params: DedupParams, *, documents: str, fingerprint: str, digest: str) -> Link:
    """The link for a result of dedup on cleaned documents of this digest."""
    return Link(documents=documents, params=params_digest(params), fingerprint=fingerprint, digest=digest)


def check_replay(chain: Chain, params: DedupParams, documents: str) -> None:
    """A batch that the index holds already may be asked for again, but under the same parameters."""
    for link in chain.links:
        if link.documents == documents and link.params != params_digest(params):
            raise ParameterError(
                f"dedup.index {chain.name!r} holds these documents already, judged under other parameters of dedup; "
                "set them back, or name a new index for these"
            )


def params_digest(params: DedupParams) -> str:
    """What a batch was judged under."""
    return digest_value(params.model_dump(mode="json"))[:32]


@contextmanager
def extending(store: Path, params: DedupParams) -> Iterator[Chain]:
    """The chain, while nobody else can add to it."""
    assert params.index is not None, "no index is named"
    with locked(_path(store, params.index).with_suffix(".lock")):
        yield read_chain(store, params)


def save_chain(store: Path, chain: Chain) -> None:
    """Replace the stored chain."""
    write_atomic(_path(store, chain.name), chain.model_dump_json(indent=1))


def segment_results(result: Path) -> list[str]:
    """Fingerprints of the results that hold the segments of the index as the result in a folder left it.

    Without the list there is no more to say than that one.
    """
    try:
        names = json.loads((result / INDEX_FOLDER / SEGMENTS_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [result.name]
    return [name or result.name for name in names]


def chain_names(store: Path) -> list[str]:
    """Names of all indexes, in order."""
    return sorted(path.stem for path in (store / INDEXES_FOLDER).glob("*.json"))


def chains(store: Path) -> list[Chain]:
    """Every index, by name."""
    found = (_load(_path(store, name)) for name in chain_names(store))
    return [chain for chain in found if chain is not None]


def drop_chain(store: Path, name: str) -> None:
    """Forget an index; the results that hold it are gc's to remove. A run that compares with it begins again."""
    path = _path(store, name)
    with locked(path.with_suffix(".lock")):
        path.unlink(missing_ok=True)


def results_in_use(store: Path, *, without: Sequence[str] = ()) -> set[str]:
    """Fingerprints of the results of dedup that an index stands on now, but for some indexes."""
    used: set[str] = set()
    for chain in chains(store):
        if chain.links and chain.name not in without:
            used |= set(segment_results(store / "dedup" / chain.links[-1].fingerprint))
    return used


def _path(store: Path, name: str) -> Path:
    return store / INDEXES_FOLDER / f"{name}.json"


def _load(path: Path) -> Chain | None:
    try:
        return Chain.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(f"{path}: not an index ({error}); remove the file to begin a new one") from None
