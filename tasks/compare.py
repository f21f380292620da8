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
from tasks.kinds.kind import LANGUAGE_MODEL
from tasks.pull import BUNDLE, fetch_part, pull

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from tasks.evaluation.comparison import Comparison, Costs
    from tasks.evaluation.documents import Documents
    from tasks.evaluation.losses import DocumentLosses
    from tasks.evaluation.served_model import ServedModel
    from tasks.kinds.kind import Kind

log = logging.getLogger(__name__)

LOSSES = "test_losses.arrow"
"""Losses of the served file on each test document, in a bundle."""
ANSWER_LOSSES = "answer_losses.arrow"
"""The same on the answers of each held-out conversation, where training ended with conversations."""
FINGERPRINT, SERVED = "gristmill.fingerprint", "gristmill.served"
KIND, ROWS_DIGEST = "gristmill.kind", "gristmill.test_digest"
"""The kind of a version, and the name of the held-out rows of one that is judged by those."""
ANSWERS_DIGEST = "gristmill.answers_digest"
"""Names the conversations that a version was measured on; no such tag, no answers."""
GAPS = "gristmill.gaps"
"""Marks a version that learned dropped spans last."""
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class _Pair:
    """Costs of both on the same documents or rows, and what they stand for."""

    mine: "Costs"
    theirs: "Costs"
    figure: str
    why: str


def compare_versions(
    new: "ModelVersion", champion: "ModelVersion", params: ChampionParams, *, store: Store
) -> "Comparison":
    """The served file of a version against that of the champion, by a paired bootstrap.

    A model whose training ended with conversations is compared by its answers, unless the champion has no chat
    template; models that are judged by rows are compared by those. Where both were measured on the same documents or
    rows their losses are at hand; elsewhere the champion's own file is fetched and run on the new one's.
    """
    from tasks.evaluation.comparison import Comparison, asked_gain, compare
    from tasks.evaluation.figures import Bootstrap
    from tasks.kinds.kind import kind_named

    kind = kind_named(new.tags.get(KIND, ""))
    if kind is not None:
        pair = _on_rows(kind, new, champion, store)
    elif ANSWERS_DIGEST in new.tags:
        pair = _on_answers(new, champion, store)
    else:
        learned = ", of the champion with conversations" if ANSWERS_DIGEST in champion.tags else ""
        pair = _on_text(new, champion, store, f"{Comparison.why}{learned}")
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    found = compare(pair.mine, pair.theirs, bootstrap, asked=asked_gain(params.mode, params.margin))
    if kind is not None:
        found = replace(found, new=round(kind.told(found.new), 6), champion=round(kind.told(found.champion), 6))
        found = replace(found, unit=kind.unit)
    return replace(found, figure=pair.figure, why=pair.why)


def cannot_compare(new: "ModelVersion", champion: "ModelVersion") -> str | None:
    """Why two versions cannot be asked the same things; None where they can."""
    mine, theirs = (version.tags.get(KIND, LANGUAGE_MODEL).replace("_", " ") for version in (new, champion))
    if mine != theirs:
        return f"the champion is a {theirs} and this model is a {mine}: release it under a name of its own"
    return None


def other_kind(new: "ModelVersion", champion: "ModelVersion") -> str | None:
    """Why a model cannot take the champion's place whatever its figures; None where it can."""
    if ANSWERS_DIGEST in champion.tags and ANSWERS_DIGEST not in new.tags:
        return "the champion answers conversations, and this model's training ended with plain text"
    if GAPS in new.tags and GAPS not in champion.tags:
        return "the champion writes a text for a text, and this model's training ended with filling gaps"
    return None


def _on_rows(kind: "Kind", new: "ModelVersion", champion: "ModelVersion", store: Store) -> _Pair:
    """Both on the new one's held-out rows."""
    mine = _read_costs(new, store)
    assert mine is not None, f"version {new.version} was registered with its rows"
    theirs = _read_costs(champion, store) if new.tags[ROWS_DIGEST] == champion.tags.get(ROWS_DIGEST) else None
    if theirs is None:
        theirs = _measure_rows(kind, new, champion, mine, store)
    return _Pair(mine, theirs, kind.decisive, f"a {kind.name} is judged by held-out rows")


def _measure_rows(kind: "Kind", new: "ModelVersion", champion: "ModelVersion", mine: "Costs", store: Store) -> "Costs":
    """Ask the champion's served file the new one's rows."""
    from tasks.kinds.rows import held_out_rows, only

    examples = _input(store.find("release", new.tags.get(FINGERPRINT, "-")), "examples", store)
    if examples is None:
        raise ReleaseError(
            f"{new.name} version {new.version}: its held-out rows are not in {store.root}, and the champion "
            "was measured on others; run the command with the --home in which the version was made"
        )
    rows = only(held_out_rows(examples.folder, kind.read), mine.ids)
    return kind.costs(kind.served(_served_files(champion, store), threads=num_cores()).score(rows))


def _read_costs(version: "ModelVersion", store: Store) -> "Costs | None":
    """Costs of a version's served file by row."""
    from tasks.kinds.kind import COSTS
    from tasks.kinds.rows import read_costs

    try:
        with bundle_file(version, COSTS, store) as path:
            return read_costs(path)
    except ReleaseError:
        return None


def _on_text(new: "ModelVersion", champion: "ModelVersion", store: Store, why: str) -> _Pair:
    from tasks.evaluation.comparison import Comparison, bits_per_byte
    from tasks.evaluation.documents import digest_documents

    mine, theirs = _read_losses(new, LOSSES, store), _read_losses(champion, LOSSES, store)
    assert mine is not None, f"version {new.version} was registered with its losses"
    digests = [None if found is None else digest_documents(found.ids, found.num_bytes) for found in (mine, theirs)]
    if theirs is None or digests[0] != digests[1]:
        theirs = _measure(champion, _documents_of(new, mine, store), store)
    return _Pair(bits_per_byte(mine), bits_per_byte(theirs), Comparison.figure, why)


def _on_answers(new: "ModelVersion", champion: "ModelVersion", store: Store) -> _Pair:
    """Both on the new one's held-out conversations; on text, saying why, where the champion renders none of them."""
    from tasks.evaluation.comparison import bits_per_byte

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
    return _Pair(bits_per_byte(mine), bits_per_byte(theirs), "served.answers.bits_per_byte", why)


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
    """A registered version's served file, ready to be measured."""
    from tasks.evaluation.served_model import ServedModel

    return ServedModel(_served_files(version, store), threads=num_cores())


def _served_files(version: "ModelVersion", store: Store) -> Path:
    """The folder of a registered version's served file, fetched unless it is there."""
    served = version.tags[SERVED]
    log.info("%s version %s was measured on other documents: its %s file is run", version.name, version.version, served)
    address = f"models:/{version.name}/{version.version}"
    folder = store.root.parent / "cache" / "models" / f"{version.name}-{version.version}-{served}"
    bundle = pull(address, folder, variant=served)
    return bundle / "onnx" / served
