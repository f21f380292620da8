"""The champion of the registry as a result of the store: its weights and its tokenizer."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from params.base import Params
from params.objective import FROM_EXAMPLES
from tasks.artifacts.manifest import Manifest, Metrics, work_of
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.pull import pull_weights
from tasks.stage import stage
from tasks.survey import FILES_NAME

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHAMPION = "champion"


@dataclass(frozen=True)
class Version:
    """A registered version, and what it has learned from."""

    name: str
    number: int
    fingerprint: str
    """Of its result of release."""
    digest: str
    bits_per_byte: float
    """NaN of a model that is judged by rows."""
    made_at: datetime
    files: frozenset[str] | None
    """Lines of survey of the files it was made of; None where its results are no longer in the store."""
    results: tuple[Manifest, ...]
    """All it was made of, as far as the store has it."""

    @property
    def address(self) -> str:
        """As MLflow writes it."""
        return f"models:/{self.name}/{self.number}"

    @property
    def age_days(self) -> float:
        """Since it was registered."""
        return (datetime.now(UTC) - self.made_at).total_seconds() / 86_400


class AdoptParams(Params):
    """A registered version."""

    address: str
    """models:/NAME/VERSION."""
    digest: str
    """Of its bundle."""


class AdoptIdentity(Params):
    """The same bundle is the same model under any name."""

    digest: str


def identity(params: AdoptParams, _run: Run) -> AdoptIdentity:
    """What was registered."""
    return AdoptIdentity(digest=params.digest)


@stage(version=1, identity=identity)
def adopt(params: AdoptParams, *, out: Path, run: Run) -> Metrics:
    """model/ of a registered version: a transformers folder with its tokenizer."""
    from tasks.registry.bundle import place_folder

    weights = pull_weights(params.address, run.store.root.parent / "cache" / "weights" / "registry")
    place_folder(weights, out / "model")
    size = sum(path.stat().st_size for path in (out / "model").iterdir())
    return Metrics(headline=f"{params.address}, {size / 1e6:,.1f} MB", counts={"bytes": size})


def find_champion(name: str, *, run: Run) -> Version | None:
    """The champion of a model; None where there is none yet."""
    found = find_versions(name, run=run, alias=CHAMPION)
    return found[0] if found else None


def find_versions(name: str, *, run: Run, alias: str | None = None) -> list[Version]:
    """The versions of a model, or the one that bears an alias."""
    from mlflow.exceptions import MlflowException

    assert run.tracker is not None, "the registry needs MLflow"
    client = run.tracker.client
    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
    if alias is None:
        return [_version(found, run.store) for found in client.search_model_versions(f"name = '{name}'")]
    number = registered.aliases.get(alias)
    return [] if number is None else [_version(client.get_model_version(name, str(number)), run.store)]


def base_of(version: Version, store: Store) -> Manifest | None:
    """What a model was before it learned from examples: its last training on text.

    None where it has learned from text last, and where the store has that training no more.
    """
    trained = [made for made in version.results if work_of(made.stage) == "train"]
    on_text = [made for made in trained if made.params["objective"] not in FROM_EXAMPLES]
    if not on_text or on_text[-1] is trained[-1]:
        return None
    return on_text[-1] if store.is_complete(on_text[-1]) and store.hold(on_text[-1]) else None


def _version(found: "ModelVersion", store: Store) -> Version:
    from tasks.registry.lineage import ancestors

    tags = found.tags
    released = store.find("release", tags["gristmill.fingerprint"])
    results = tuple(ancestors([released], store)) if released is not None else ()
    return Version(
        name=found.name,
        number=int(found.version),
        fingerprint=tags["gristmill.fingerprint"],
        digest=tags["gristmill.digest"],
        bits_per_byte=float(tags.get("gristmill.bits_per_byte", "nan")),
        made_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        files=_files(released, store),
        results=results,
    )


def _files(released: Manifest | None, store: Store) -> frozenset[str] | None:
    """What survey saw when it was made: all that it has learned from, in whichever batches that had come."""
    reference = released.inputs["files"] if released is not None else None
    survey = store.find(reference.stage, reference.fingerprint) if reference is not None else None
    if survey is None:
        return None
    lines = survey.file(FILES_NAME).read_text(encoding="utf-8").split("\n")
    return frozenset(line for line in lines if line)
