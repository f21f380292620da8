"""Wall time of a run by stage, first and second time, and what orchestration costs: make bench-run.

Prints `BENCH name value unit` lines. PRESET=… names another preset than quickstart; everything happens in a fresh
home that is removed afterwards.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store


def main() -> None:
    preset = os.environ.get("PRESET", "quickstart")
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        home = Path(folder) / "home"
        print(f"gristmill run {preset}, twice, in {home}", file=sys.stderr)
        for time_of in ("first", "second"):
            wall_s = run(preset, home)
            record = list(run_records(home / "store"))[-1]
            report(time_of, wall_s, record, Store(home / "store"))
        report_results(record, Store(home / "store"))


def run(preset: str, home: Path) -> float:
    """Seconds of one run, from the shell's view."""
    began = time.monotonic()
    command = [sys.executable, "-m", "flows.cli", "run", preset, "--home", str(home), *sys.argv[1:]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def report(time_of: str, wall_s: float, record: RunRecord, store: Store) -> None:
    """The time of a run, and which share of it no stage worked in."""
    bench(f"run.{time_of}.wall", wall_s, "s")
    worked_s = 0.0
    for stage, done in record.stages.items():
        bench(f"run.{time_of}.{stage}.wall", done.wall_s, "s")
        if not done.reused:
            worked_s += result(store, stage, done.fingerprint).timing.work_s
    bench(f"run.{time_of}.orchestration", wall_s - worked_s, "s")
    bench(f"run.{time_of}.orchestration_share", 100 * (wall_s - worked_s) / wall_s, "%")


def report_results(record: RunRecord, store: Store) -> None:
    """What each stage used and counted."""
    for stage, done in record.stages.items():
        made = result(store, stage, done.fingerprint)
        bench(f"stage.{stage}.work", made.timing.work_s, "s")
        bench(f"stage.{stage}.peak_rss", made.timing.peak_rss_mb, "MB")
        for name, value in made.metrics.counts.items():
            bench(f"stage.{stage}.{name}", value, "")


def result(store: Store, stage: str, fingerprint: str) -> Manifest:
    found = store.find(stage, fingerprint)
    assert found is not None, f"{stage} {fingerprint} is gone"
    return found


def bench(name: str, value: float, unit: str) -> None:
    """One figure."""
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    print(f"BENCH {name} {shown} {unit}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
