"""What operations cost: a retraining without new text, and the time from new text to a promoted model: make bench-ops.

Prints `BENCH name value unit` lines, `gristmill --version` first, which shows the speed of the machine. Text is that
of Python's help(), the preset tiny (PRESET=… for another); a fresh home is removed.
"""

import os
import pydoc_data.topics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tasks.artifacts.record import RunRecord, run_records

SHARE_AT_FIRST = 0.6
COMMON = ("--set", "clean.words.min_alpha_words=null", "--set", "release.gate.champion.mode=no_worse")
TOLERANT = ("--set", "retrain.min_new_tokens=1000", "--set", "release.gate.champion.margin=8")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        home, text = Path(folder) / "home", Path(folder) / "text"
        topics = sorted(pydoc_data.topics.topics.items())
        first = round(len(topics) * SHARE_AT_FIRST)
        write(text / "first", topics[:first])
        bench("command.version", run(home, "--version"), "s")
        champion_s = run(home, "retrain", *arguments(text))
        bench("retrain.first_champion", champion_s, "s")
        for attempt in ("first", "second"):
            noop_s = run(home, "retrain", *arguments(text))
            worked_s = sum(stage.wall_s for stage in newest(home).stages.values())
            bench(f"retrain.noop.{attempt}.wall", noop_s, "s")
            bench(f"retrain.noop.{attempt}.orchestration", noop_s - worked_s, "s")
        write(text / "second", topics[first:])
        promoted_s = run(home, "retrain", *arguments(text), *TOLERANT)
        bench("retrain.new_text_to_promoted", promoted_s, "s")
        bench("retrain.new_text_to_promoted_of_first", promoted_s / champion_s, "x")
        print("\n".join(newest(home).notes), file=sys.stderr)


def write(folder: Path, topics: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True)
    for name, text in topics:
        (folder / f"{name.replace('/', '-')}.txt").write_text(text, encoding="utf-8")


def arguments(text: Path) -> tuple[str, ...]:
    sources = f"survey.sources=[{{name: text, path: '{text}'}}]"
    return (os.environ.get("PRESET", "tiny"), "--set", sources, *COMMON, *sys.argv[1:])


def run(home: Path, *command: str) -> float:
    """Seconds of a command, from the shell's view."""
    began = time.monotonic()
    environment = os.environ | {"GRISTMILL_HOME": str(home)}
    subprocess.run(
        [sys.executable, "-m", "flows.cli", *command], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - began


def newest(home: Path) -> RunRecord:
    return list(run_records(home / "store"))[-1]


def bench(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.4g} {unit}", flush=True)


if __name__ == "__main__":
    main()
