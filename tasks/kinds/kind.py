"""The interface of the kinds of models that are judged by held-out rows; a language model is judged by its text."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from params.export import ExportParams
    from params.gate import GateParams
    from tasks.compression.quality import Quality
    from tasks.evaluation.comparison import Costs
    from tasks.evaluation.figures import Bootstrap
    from tasks.graph.checks import Check
    from tasks.kinds.rows import Rows, RowScores

COSTS = "row_costs.arrow"
"""In a bundle: what each held-out row adds to the figure by which the served file is compared."""
LANGUAGE_MODEL, CLASSIFIER, SEQ2SEQ = "language_model", "classifier", "seq2seq"
"""Names of kinds; the first has no class here: it goes on writing a text, and the stages know it by themselves."""


class RowModel(Protocol):
    """A model that can be asked rows, whichever file it comes from."""

    def score(self, rows: "Rows") -> "RowScores":
        """What it says to each row, and what it gives to what is wanted."""
        ...


@dataclass(frozen=True)
class Measured:
    """A variant on held-out rows."""

    quality: "Quality"
    per_s: float
    """How fast it answers, in `Kind.speed_unit` per second."""


class Kind(ABC):
    """What the stages after training need to know of a kind of models."""

    name: str
    objective: str
    """What such models learned last."""
    section: str
    """Of evaluation.json: its figures."""
    figure: str
    """Of the section: what decides about a champion, and what a version is told by."""
    unit: str
    """The figure in words."""
    loss: str
    """Of the section: the cross-entropy in nats that the served file may not raise by much."""
    fields: tuple[str, str]
    """Keys of a held-out row: what is asked, and what is wanted."""
    max_rows: int | None = None
    """Most held-out rows to measure on, where each takes long; None for as many as evaluate.max_documents."""
    speed_unit: str
    command: str
    """Of the command line, to use such a model with."""
    runner: tuple[str, str]
    """Module that runs the exported folder alone, and the name that it has in a bundle."""

    @property
    def decisive(self) -> str:
        """Dotted name of the figure of the served file that decides."""
        return f"served.{self.section}.{self.figure}"

    def headline(self, figures: Mapping[str, Any]) -> str:
        """The section in a line."""
        value, low, high = (figures[f"{self.figure}{end}"] for end in ("", "_low", "_high"))
        return f"{self.section}: {self.unit} {value:.4f} ({low:.4f} to {high:.4f}), {figures['docs']:,} rows"

    def some(self, rows: "Rows", limit: int | None) -> "Rows":
        """At most so many rows, and no more than such models are asked."""
        most = [size for size in (limit, self.max_rows) if size is not None]
        return rows.some(min(most, default=None))

    @abstractmethod
    def read(self, row: Any) -> tuple[str, str]:
        """What is asked and what is wanted in a row; raises Unusable."""

    @abstractmethod
    def trained(self, folder: Path, *, threads: int, device: "torch.device", weights: Path | None = None) -> RowModel:
        """A transformers folder, with the weights of a checkpoint in the place of its own where some are named."""

    @abstractmethod
    def served(self, folder: Path, *, threads: int) -> RowModel:
        """An exported folder."""

    @abstractmethod
    def figures(self, scores: "RowScores", bootstrap: "Bootstrap") -> dict[str, Any]:
        """The section of evaluation.json."""

    @abstractmethod
    def costs(self, scores: "RowScores") -> "Costs":
        """What decides, row by row: the less the better."""

    @abstractmethod
    def told(self, ratio: float) -> float:
        """The deciding figure from costs over weights."""

    @abstractmethod
    def check(self, served: Path, source: Path, rows: "Rows", params: "ExportParams") -> "list[Check]":
        """The checks that an exported folder must pass against the trained model in `source`."""

    @abstractmethod
    def measure_variants(self, folders: Mapping[str, Path], rows: "Rows") -> dict[str, Measured]:
        """Quality and speed of exported folders; the first is the float32 one."""

    @abstractmethod
    def samples(self, folder: Path, prompts: Sequence[str]) -> list[dict[str, str]]:
        """What an exported folder says to some texts: prompt and continuation, for the card."""

    @abstractmethod
    def limits(self, gate: "GateParams", figures: Mapping[str, float]) -> "Sequence[tuple[str, float, float]]":
        """Conditions of its own on the served file: name, what was found, and what it must be above."""


def kind_of(folder: Path) -> Kind | None:
    """The kind of the model in a transformers or an exported folder; None for a language model."""
    return kind_named(kind_name(folder))


def kind_named(name: str) -> Kind | None:
    """The kind of this name; None for a language model, and for names that versions of old may bear."""
    from tasks.kinds.classifier import Classifier
    from tasks.kinds.seq2seq import Seq2Seq

    kinds: tuple[Kind, ...] = (Classifier(), Seq2Seq())
    return next((kind for kind in kinds if kind.name == name), None)


def kind_name(folder: Path) -> str:
    """What kind of a model a folder holds, from its settings."""
    if (settings := folder / "generation.json").is_file():
        found = json.loads(settings.read_text(encoding="utf-8"))
        if found.get("start_token_id") is not None:
            return SEQ2SEQ
        return CLASSIFIER if found.get("labels") else LANGUAGE_MODEL
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("is_encoder_decoder"):
        return SEQ2SEQ
    names = config.get("architectures") or [""]
    return CLASSIFIER if names[0].endswith("ForSequenceClassification") else LANGUAGE_MODEL
