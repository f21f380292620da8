"""Compare two registered versions on the same test documents, measuring the older one anew where it saw others."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from params.errors import ReleaseError
from params.gate import ChampionParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.store import Store
from tasks.context import num_cores
from tasks.pull import BUNDLE, fetch_part, pull

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from tasks.evaluation.comparison import Comparison
    from tasks.evaluation.documents import Documents
    from tasks.evaluation.losses import DocumentLosses

log = logging.getLogger(__name__)

LOSSES = "test_losses.arrow"
"""Losses of the served file on each test document, in a bundle."""
FINGERPRINT, SERVED = "gristmill.fingerprint", "gristmill.served"
_BATCH_TOKENS = 4096


def compare_versions(
    new: "ModelVersion", champion: "ModelVersion", params: ChampionParams, *, store: Store
) -> "Comparison":
    """The served file of a version against that of the champion, by a paired bootstrap.

    Where both were measured on the same documents their losses are at hand; elsewhere the champion's own file is
    fetched and run on the new one's documents.
    """
    from tasks.evaluation.comparison import asked_gain, compare
    from tasks.evaluation.documents import digest_documents
    from tasks.evaluation.figures import Bootstrap

    mine, theirs = read_test_losses(new, store), read_test_losses(champion, store)
    assert mine is not None, f"version {new.version} was registered with its losses"
    digests = [None if found is None else digest_documents(found.ids, found.num_bytes) for found in (mine, theirs)]
    if theirs is None or digests[0] != digests[1]:
        theirs = _measure(champion, _documents_of(new, mine, store), store)
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    return compare(mine, theirs, bootstrap, asked=asked_gain(params.mode, params.margin))


def read_test_losses(version: "ModelVersion", store: Store) -> "DocumentLosses | None":
    """Losses of a version's served file by test document; None of one registered before they were kept."""
    from tasks.evaluation.losses import read_losses

    try:
        with bundle_file(version, LOSSES, store) as path:
            return read_losses(path)
    except ReleaseError:
        return None


@contextmanager
def bundle_file(version: "ModelVersion", name: str, store: Store) -> Iterator[Path]:
    """One file of a version's bundle: from this home's store where it was made here, else from the registry."""
    made = store.find("release", version.tags.get(FINGERPRINT, "-"))
    if made is not None and (path := made.folder / "bundle" / name).is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        fetch_part(f"models:/{version.name}/{version.version}", name, Path(scratch))
        yield Path(scratch) / BUNDLE / name


def _documents_of(version: "ModelVersion", losses: "DocumentLosses", store: Store) -> "Documents":
    """The test documents that a version was measured on, as far as each was read."""
    from tasks.evaluation.documents import same_documents

    made = store.find("release", version.tags.get(FINGERPRINT, "-"))
    splits = _input(made, "splits", store)
    sizes = dict(zip(losses.ids, losses.num_bytes.tolist(), strict=True))
    documents = same_documents(splits.paths("test/*.arrow"), sizes) if splits is not None else None
    if documents is None or len(documents) < len(sizes):
        raise ReleaseError(
            f"{version.name} version {version.version}: its test documents are not in {store.root}, and the champion "
            "was measured on others; run the command with the --home in which the version was made"
        )
    return documents


def _input(made: Manifest | None, name: str, store: Store) -> Manifest | None:
    if made is None or name not in made.inputs:
        return None
    return store.find(made.inputs[name].stage, made.inputs[name].fingerprint)


def _measure(version: "ModelVersion", documents: "Documents", store: Store) -> "DocumentLosses":
    """Run a registered version's served file on documents."""
    from tasks.evaluation.losses import document_losses
    from tasks.evaluation.served_model import ServedModel

    served = version.tags[SERVED]
    log.info("%s version %s was measured on other documents: its %s file is run", version.name, version.version, served)
    address = f"models:/{version.name}/{version.version}"
    folder = store.root.parent / "cache" / "models" / f"{version.name}-{version.version}-{served}"
    bundle = pull(address, folder, variant=served)
    model = ServedModel(bundle / "onnx" / served, threads=num_cores())
    return document_losses(model, documents, batch_tokens=_BATCH_TOKENS)
