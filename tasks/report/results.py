"""What a run left on disk, as far as it went."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.artifacts.manifest import Manifest, work_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.training.curve import read_points
from tasks.training.stopping.observation import StopDecision
from tasks.training.stopping.record import FILE_NAME, LastReading, decisions, last_readings

FILES_READ = ("logs/*", "stop.json", "model/config.json")
"""What is read of a training."""


@dataclass(frozen=True)
class Training:
    """One phase of training: a sealed result, or the draft of one that is under way or broke off."""

    stage: str
    folder: Path
    params: Mapping[str, Any]
    result: Manifest | None

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """The recorded curve."""
        return list(read_points(self.folder / "logs" / "metrics.jsonl"))

    @cached_property
    def stop(self) -> dict[str, Any]:
        """stop.json; empty where training did not come to its end."""
        return read_json(self.folder / "stop.json") or {}

    @cached_property
    def decisions(self) -> list[tuple[int, StopDecision, str]]:
        """What the stop rules decided."""
        return list(decisions(self.folder / "logs" / FILE_NAME))

    @property
    def readings(self) -> list[LastReading]:
        """How every stop rule stood in the end."""
        return last_readings(self.folder / "logs" / FILE_NAME)


@dataclass(frozen=True)
class RunResults:
    """A run: its record, the results that are still there, and how training went."""

    record: RunRecord
    results: Mapping[str, Manifest]
    trainings: tuple[Training, ...]

    def json(self, stage: str, name: str) -> Any:
        """A JSON file of a stage's result; None where there is none."""
        result = self.results.get(stage)
        return None if result is None else read_json(result.file(name))

    @property
    def gone(self) -> list[str]:
        """Stages whose results were removed since."""
        return [stage for stage in self.record.stages if stage not in self.results]

    @property
    def bundle(self) -> Path | None:
        """The folder of the released model."""
        result = self.results.get("release")
        return None if result is None else result.folder_with("bundle/*.*") / "bundle"

    @property
    def seconds(self) -> float | None:
        """From begin to end."""
        if self.record.ended_at is None:
            return None
        begin, end = (datetime.fromisoformat(at) for at in (self.record.started_at, self.record.ended_at))
        return (end - begin).total_seconds()


def read_results(store: Store, record: RunRecord) -> RunResults:
    """Everything that a run left in the store."""
    found = {stage: store.find(stage, done.fingerprint) for stage, done in record.stages.items()}
    results = {stage: result for stage, result in found.items() if result is not None}
    trainings = [
        Training(stage, result.folder_with(*FILES_READ), result.params, result)
        for stage, result in results.items()
        if work_of(stage) == "train"
    ]
    draft = None if record.status == "completed" else _draft(store, record, results)
    return RunResults(record, results, (*trainings, *([draft] if draft else [])))


def read_json(path: Path) -> Any:
    """What a JSON file says; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _draft(store: Store, record: RunRecord, results: Mapping[str, Manifest]) -> Training | None:
    """The training that this run did not bring to its end: the draft on its shards that was written to last."""
    digests = {result.digest for stage, result in results.items() if work_of(stage) == "shard"}
    began = datetime.fromisoformat(record.started_at).timestamp()
    drafts = [path for path in store.root.glob("train*/*.partial/logs/metrics.jsonl") if path.stat().st_mtime >= began]
    for path in sorted(drafts, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = path.parents[1]
        recipe = (read_json(folder / "draft.json") or {}).get("recipe")
        if recipe and recipe["inputs"]["shards"]["digest"] in digests:
            return Training(recipe["stage"], folder, recipe["params"], None)
    return None
