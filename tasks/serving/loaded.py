"""A model ready to answer: its files checked, its graph loaded, its engine running."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from params.errors import ReleaseError
from params.serve import ServeParams
from tasks.kinds.kind import CLASSIFIER, kind_name
from tasks.registry.bundle import FACTS, SUMS, read_sums, variant_files, verify_files
from tasks.serving.batch import Batch
from tasks.serving.chat_template import ChatTemplate
from tasks.serving.classifier import OnnxClassifier
from tasks.serving.engine import Deliver, Engine
from tasks.serving.generator import OnnxModel, PromptError, Settings, served_folder
from tasks.serving.labelling import Labeller
from tasks.serving.rows import row_bytes, rows_of
from tasks.serving.token_bytes import TokenBytes

log = logging.getLogger(__name__)
_SPIN_US = 50
"""Longer than what lies between two products of a step, and shorter than what lies between two steps: by then whoever
samples, writes and sends has better use for the core."""


@dataclass(frozen=True)
class Loaded:
    """A model and how to talk to it."""

    name: str
    version: str
    variant: str
    model: OnnxModel
    created: int
    """When its graph was written, in seconds since 1970."""
    chat: ChatTemplate | None
    token_bytes: TokenBytes
    engine: Engine

    @property
    def settings(self) -> Settings:
        """generation.json."""
        return self.model.settings

    @property
    def is_broken(self) -> bool:
        """Only a new process would mend it."""
        return self.engine.broken

    @property
    def texts(self) -> tuple[int, int]:
        """Texts that wait, and texts under way."""
        return self.engine.num_waiting, self.engine.num_active

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return self.model.decode(tokens)

    def close(self) -> None:
        """End the engine once nothing is under way."""
        self.engine.close()


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier and how to ask it."""

    name: str
    version: str
    variant: str
    created: int
    """When its graph was written, in seconds since 1970."""
    labeller: Labeller

    is_broken = False

    @property
    def texts(self) -> tuple[int, int]:
        """Texts that wait, those under way counted, and none beside them."""
        return self.labeller.num_waiting, 0

    def close(self) -> None:
        """End its thread once nothing is under way."""
        self.labeller.close()


AnyLoaded: TypeAlias = Loaded | LoadedClassifier


def load_model(folder: Path, params: ServeParams, *, version: str, deliver: Deliver) -> AnyLoaded:
    """Check and load a bundle or a served folder. Raises ReleaseError with what is wrong with it."""
    check_sums(folder, params.variant)
    try:
        served = served_folder(folder, params.variant)
        if kind_name(served) == CLASSIFIER:
            return _load_classifier(folder, served, params, version)
        model = OnnxModel(served, threads=params.threads, spin_us=_SPIN_US)
    except PromptError as error:
        raise ReleaseError(str(error)) from None
    rows = min(params.max_batch, int(params.max_cache_gb * 1e9 // row_bytes(model.session, model.settings)))
    if rows < 1:
        size = row_bytes(model.session, model.settings) / 1e9
        raise ReleaseError(f"{served}: one text takes up to {size:.2f} GB; raise max_cache_gb ({params.max_cache_gb})")
    at_once = params.prefill_tokens if model.encoder is None else model.settings.context_length
    batch = Batch(rows_of(model, max_rows=rows), rows, at_once)
    engine = Engine(batch, room=model.room, max_queue=params.max_queue, deliver=deliver)
    log.info("loaded %s: %d texts at once, context of %d tokens", served, rows, model.settings.context_length)
    return Loaded(
        name=name_of(folder),
        version=version,
        variant=served.name,
        model=model,
        created=_created(served),
        chat=ChatTemplate.load(served) if model.encoder is None else None,
        token_bytes=TokenBytes(model.tokenizer),
        engine=engine,
    )


def _created(served: Path) -> int:
    return int(max(path.stat().st_mtime for path in served.glob("*.onnx")))


def _load_classifier(folder: Path, served: Path, params: ServeParams, version: str) -> LoadedClassifier:
    model = OnnxClassifier(served, threads=params.threads)
    log.info("loaded %s: %d labels, context of %d tokens", served, len(model.labels), model.context_length)
    labeller = Labeller(model, max_queue=params.max_queue)
    return LoadedClassifier(name_of(folder), version, served.name, _created(served), labeller)


def check_sums(folder: Path, variant: str | None) -> None:
    """Compare the files that serving reads with the bundle's SHA256SUMS; a folder without any is taken as it is."""
    if not (folder / SUMS).is_file():
        log.warning("%s has no %s: its files are served unchecked", folder, SUMS)
        return
    sums = read_sums(folder / SUMS)
    chosen = variant or _served(folder)
    needed = [name for name in variant_files(sums, chosen) if name.startswith("onnx/") or name == FACTS]
    verify_files(folder, {name: sums[name] for name in needed})
    there = [f"onnx/{chosen}/{path.name}" for path in sorted((folder / "onnx" / chosen).glob("*"))]
    if unlisted := [name for name in there if name not in sums]:
        raise ReleaseError(f"{folder}: {SUMS} does not list {unlisted[0]}; pull the model anew with this variant")


def name_of(folder: Path) -> str:
    """The name of a model, for clients."""
    facts = folder / FACTS
    named = json.loads(facts.read_text(encoding="utf-8")).get("name") if facts.is_file() else None
    return str(named or re.sub(r"[^\w.-]+", "-", folder.resolve().name))


def _served(folder: Path) -> str:
    return served_folder(folder).name
