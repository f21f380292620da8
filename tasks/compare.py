"""Compare two registered versions on the same documents, measuring the older one anew where it saw others."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from params.errors import ParameterError, ReleaseError
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
    from tasks.evaluation.served_model import ServedModel

log = logging.getLogger(__name__)

LOSSES = "test_losses.arrow"
"""Losses of the served file on each test document, in a bundle."""
ANSWER_LOSSES = "answer_losses.arrow"
"""The same on the answers of each held-out conversation, where training ended with conversations."""
FINGERPRINT, SERVED = "gristmill.fingerprint", "gristmill.served"
ANSWERS_DIGEST = "gristmill.answers_digest"
"""Names the conversations that a version was measured on; no such tag, no answers."""
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class _Pair:
    """Losses of both on the same documents, and what they stand for."""

    mine: "DocumentLosses"
    theirs: "DocumentLosses"
    figure: str
    why: str


def compare_versions(
    new: "ModelVersion", champion: "ModelVersion", params: ChampionParams, *, store: Store
) -> "Comparison":
    """The served file of a version against that of the champion, by a paired bootstrap.

    A model whose training ended with conversations is compared by its answers, unless the champion has no chat
    template. Where both were measured on the same documents their losses are at hand; elsewhere the champion's own
    file is fetched and run on the new one's documents.
    """
    from tasks.evaluation.comparison import Comparison, asked_gain, compare
    from tasks.evaluation.figures import Bootstrap

    if ANSWERS_DIGEST in new.tags:
        pair = _on_answers(new, champion, store)
    else:
        learned = ", of the champion with conversations" if ANSWERS_DIGEST in champion.tags else ""
        pair = _on_text(new, champion, store, f"{Comparison.why}{learned}")
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    found = compare(pair.mine, pair.theirs, bootstrap, asked=asked_gain(params.mode, params.margin))
    return replace(found, figure=pair.figure, why=pair.why)


def other_kind(new: "ModelVersion", champion: "ModelVersion") -> str | None:
    """Why a model cannot take the champion's place whatever its figures; None where it can."""
    if ANSWERS_DIGEST in champion.tags and ANSWERS_DIGEST not in new.tags:
        return "the champion answers conversations, and this model's training ended with plain text"
    return None


def _on_text(new: "ModelVersion", champion: "ModelVersion", store: Store, why: str) -> _Pair:
    from tasks.evaluation.comparison import Comparison
    from tasks.evaluation.documents import digest_documents

    mine, theirs = _read_losses(new, LOSSES, store), _read_losses(champion, LOSSES, store)
    assert mine is not None, f"version {new.version} was registered with its losses"
    digests = [None if found is None else digest_documents(found.ids, found.num_bytes) for found in (mine, theirs)]
    if theirs is None or digests[0] != digests[1]:
        theirs = _measure(champion, _documents_of(new, mine, store), store)
    return _Pair(mine, theirs, Comparison.figure, why)


def _on_answers(new: "ModelVersion", champion: "ModelVersion", store: Store) -> _Pair:
    """Both on the new one's held-out conversations; on text, saying why, where the champion renders none of them."""
    mine, theirs = _read_losses(new, ANSWER_LOSSES, store), None
    assert mine is not None, f"version {new.version} was registered with its answers"
    if new.tags[ANSWERS_DIGEST] == champion.tags.get(ANSWERS_DIGEST):
        theirs = _read_losses(champion, ANSWER_LOSSES, store)
    if theirs is None:
        try:
            theirs = _measure_answers(new, champion, mine, store)
        except ParameterError:
            return _on_text(new, champion, store, f"champion version {champion.version} has no usable chat template")
    if not theirs.ids:
        return _on_text(new, champion, store, f"the chat template of champion version {champion.version} renders none")
    why = "training ended with conversations"
    if len(theirs.ids) < len(mine.ids):
        there = set(theirs.ids)
        why += f"; the champion's template renders {len(there)} of {len(mine.ids)}"
        mine = mine.only(np.array([name in there for name in mine.ids]))
    return _Pair(mine, theirs, "served.answers.bits_per_byte", why)


def _read_losses(version: "ModelVersion", name: str, store: Store) -> "DocumentLosses | None":
    """Losses of a version's served file by document; None of one registered before they were kept."""
    from tasks.evaluation.losses import read_losses

    try:
        with bundle_file(version, name, store) as path:
            return read_losses(path)
    except ReleaseError:
        return None


@contextmanager
def bundle_file(version: "ModelVersion", name: str, store: Store) -> Iterator[Path]:
    """One file of a version's bundle: from this home's store where it was made here, else from the registry."""
    made = store.find("release", version.tags.get(FINGERPRINT, "-"))
    if made is not None and (path := made.file(f"bundle/{name}")).is_file():
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

    return document_losses(_served_model(version, store), documents, batch_tokens=_BATCH_TOKENS)


def _measure_answers(
    new: "ModelVersion", champion: "ModelVersion", mine: "DocumentLosses", store: Store
) -> "DocumentLosses":
    """Run the champion's served file on the new one's conversations, by its own tokenizer and chat template."""
    from tasks.evaluation.answers import answer_losses, same_conversations

    examples = _input(store.find("release", new.tags.get(FINGERPRINT, "-")), "examples", store)
    if examples is None:
        raise ReleaseError(
            f"{new.name} version {new.version}: its held-out conversations are not in {store.root}, and the champion "
            "was measured on others; run the command with the --home in which the version was made"
        )
    model = _served_model(champion, store)
    conversations = same_conversations(examples.folder, mine.ids)
    return answer_losses(model, model.model.folder, conversations, batch_tokens=_BATCH_TOKENS)


def _served_model(version: "ModelVersion", store: Store) -> "ServedModel":
    """A registered version's served file, fetched unless it is there."""
    from tasks.evaluation.served_model import ServedModel

    served = version.tags[SERVED]
    log.info("%s version %s was measured on other documents: its %s file is run", version.name, version.version, served)
    address = f"models:/{version.name}/{version.version}"
    folder = store.root.parent / "cache" / "models" / f"{version.name}-{version.version}-{served}"
    bundle = pull(address, folder, variant=served)
    return ServedModel(bundle / "onnx" / served, threads=num_cores())
