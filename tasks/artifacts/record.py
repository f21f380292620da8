"""Run records: which results a run made or reused, kept beside the store for runs, explain and gc."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from params.errors import StoreError
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest

RUNS_FOLDER = "runs"


class StageRecord(BaseModel):
    """One stage of a run."""

    model_config = ConfigDict(frozen=True)
    fingerprint: str
    digest: str
    reused: bool
    wall_s: float
    cpu_s: float | None = None
    """Of this process and its children while the result was made; None for a reused one."""
    peak_rss_mb: float | None = None
    disk_mb: float | None = None
    cost: float | None = None
    """Of wall_s, where the price of an hour is known."""


class RunRecord(BaseModel):
    """A run: its recipe, how it went, and the results it stands on."""

    model_config = ConfigDict(frozen=True)
    run_id: str
    preset: str
    overrides: dict[str, Any] = {}
    started_at: str
    ended_at: str | None = None
    status: Literal["running", "completed", "failed", "cancelled"] = "running"
    error: str | None = None
    """What went wrong, where it did not complete."""
    asked: str | None = None
    """Who asked it to end before its end."""
    stages: dict[str, StageRecord] = {}
    mlflow_run_id: str | None = None
    flow_run_id: str | None = None
    """Of Prefect."""
    model_version: str | None = None
    """As models:/name/version, once registered."""
    decision: str | None = None
    """What became of that version, and why."""
    notes: tuple[str, ...] = ()
    """What a person should know of it, such as why nothing was trained."""

    @classmethod
    def begin(cls, preset: str, overrides: dict[str, Any], *, flow_run_id: str | None = None) -> "RunRecord":
        """A new record with an id that sorts by time."""
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        started_at = now.isoformat(timespec="seconds")
        return cls(run_id=run_id, preset=preset, overrides=overrides, started_at=started_at, flow_run_id=flow_run_id)

    def with_stage(
        self, manifest: Manifest, *, reused: bool, wall_s: float, price_per_hour: float | None = None
    ) -> "RunRecord":
        """The record with one more stage."""
        done = StageRecord(
            fingerprint=manifest.fingerprint,
            digest=manifest.digest,
            reused=reused,
            wall_s=wall_s,
            cpu_s=None if reused else manifest.timing.cpu_s,
            peak_rss_mb=None if reused else manifest.timing.peak_rss_mb,
            disk_mb=sum(file.size_bytes for file in manifest.files) / 1e6,
            cost=None if price_per_hour is None else wall_s / 3600 * price_per_hour,
        )
        return self.model_copy(update={"stages": {**self.stages, manifest.stage: done}})

    def ended(
        self,
        status: Literal["completed", "failed", "cancelled"],
        error: str | None = None,
        *,
        asked: str | None = None,
    ) -> "RunRecord":
        """The record with its end."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return self.model_copy(update={"status": status, "ended_at": now, "error": error, "asked": asked})

    def save(self, store_root: Path) -> None:
        """Write the record durably."""
        folder = store_root / RUNS_FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / f"{self.run_id}.json", self.model_dump_json(indent=1))
        except PermissionError:
            raise StoreError.no_permission(folder) from None


def run_records(store_root: Path) -> Iterator[RunRecord]:
    """All run records, oldest first."""
    for path in sorted((store_root / RUNS_FOLDER).glob("*.json")):
        try:
            yield RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise StoreError(f"{path}: not a run record ({error}); remove the file") from None


def remove_record(store_root: Path, run_id: str) -> None:
    """Forget a run; gc may then remove results that no other run stands on."""
    for ending in ("json", "lock"):
        (store_root / RUNS_FOLDER / f"{run_id}.{ending}").unlink(missing_ok=True)
