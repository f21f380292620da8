"""What a model card tells, gathered from the results that a model was made of."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from params.release import ReleaseParams
from params.run import RunParams
from tasks.artifacts.manifest import Manifest, work_of
from tasks.registry.gate import GateCheck
from tasks.registry.lineage import sources
from tasks.report.documents import measure_documents
from tasks.report.expenditure import Expenditure, expenditure
from tasks.training.curve import read_points

Tree = Mapping[str, Any]
_CURVE_ROWS = 10
_USED = (("decontaminate", "train/*.arrow"), ("dedup", "kept/*.arrow"), ("clean", "kept/*.arrow"))
"""Where the documents that are trained on lie: in the last of the stages."""


@dataclass(frozen=True)
class Story:
    """Everything that the card tells."""

    name: str
    served: str
    config: Tree
    """transformers' config.json."""
    stop: Tree
    """stop.json of training."""
    evaluation: Tree
    quality: Tree
    """Figures by variant."""
    sources: Sequence[Tree]
    results: Sequence[Manifest]
    gate: Sequence[GateCheck]
    samples: Sequence[Tree]
    cleaned: Tree = field(default_factory=dict)
    """report.json of clean: documents by source, personal data."""
    languages: Mapping[str, float] = field(default_factory=dict)
    """Share of the bytes trained on."""
    scripts: Mapping[str, float] = field(default_factory=dict)
    """Share of the letters."""
    curve: Sequence[Tree] = ()
    """Some points of the training curve that have a validation loss, evenly chosen."""
    taken: Expenditure | None = None
    """None where training left no time."""
    chats: bool = False
    """Whether it has a chat template."""
    license: str | None = None
    """Of the model; None where nobody said."""

    def counts(self, stage: str) -> Mapping[str, int]:
        """The counts of a stage; empty where it is none of the ancestors."""
        return next((result.metrics.counts for result in self.results if result.stage == stage), {})

    @property
    def phases(self) -> list[Manifest]:
        """The trainings that it went through, one after the other."""
        return [result for result in self.results if work_of(result.stage) == "train"]

    @property
    def examples(self) -> list[Manifest]:
        """The examples that phases learned from."""
        return [result for result in self.results if work_of(result.stage) == "encode"]

    @property
    def fills_gaps(self) -> bool:
        """Whether it learned dropped spans last."""
        return any(result.stage == "drop_spans" for result in self.results)

    @property
    def tokens(self) -> int:
        """Of all phases together."""
        return sum(phase.metrics.counts.get("tokens", 0) for phase in self.phases)

    @property
    def has_given_weights(self) -> bool:
        """Whether training began with weights that were there before."""
        return any((phase.params.get("model") or {}).get("from_weights") for phase in self.phases)


def tell(
    bundle: Path,
    results: Sequence[Manifest],
    files: Manifest,
    *,
    params: ReleaseParams,
    settings: RunParams,
    gate: Sequence[GateCheck],
) -> Story:
    """The story of the model in a bundle, from the bundle and from the results it was made of."""
    found = {result.stage: result for result in results}
    trained = [result for result in results if work_of(result.stage) == "train"]
    languages, scripts = _languages(found)
    timed = [result for result in trained if "training_s" in result.metrics.values]
    return Story(
        name=params.model_name,
        served=params.serve,
        license=params.license,
        chats=(bundle / "transformers" / "chat_template.jinja").exists(),
        config=_read(bundle / "transformers" / "config.json"),
        stop=_read(bundle / "stop.json"),
        evaluation=_read(bundle / "evaluation.json"),
        quality=_read(bundle / "quality.json"),
        sources=sources(files),
        results=results,
        gate=gate,
        samples=_read(bundle / "samples.json"),
        cleaned=_read(found["clean"].file("report.json")) if "clean" in found else {},
        languages=languages,
        scripts=scripts,
        curve=_curve(trained),
        taken=expenditure(timed, settings) if timed else None,
    )


def _languages(found: Mapping[str, Manifest]) -> tuple[dict[str, float], dict[str, float]]:
    stage, pattern = next(((stage, pattern) for stage, pattern in _USED if stage in found), ("", ""))
    if not stage:
        return {}, {}
    measured = measure_documents(found[stage], pattern, scripts=True)
    return _shares(measured.by_language), _shares(measured.scripts)


def _shares(counts: Counter[str]) -> dict[str, float]:
    whole = sum(counts.values())
    return {name: count / whole for name, count in counts.most_common() if count}


def _curve(trained: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Of the last phase."""
    if not trained:
        return []
    points = [p for p in read_points(trained[-1].file("logs/metrics.jsonl")) if p.get("val_loss") is not None]
    if len(points) <= _CURVE_ROWS:
        return points
    last = len(points) - 1
    return [points[round(at * last / (_CURVE_ROWS - 1))] for at in range(_CURVE_ROWS)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
