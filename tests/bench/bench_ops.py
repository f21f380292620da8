"""What operations cost: make bench-ops, or ARGS="--only shards engines" for parts of it.

noop: a retraining without new text, and the time from new text to a promoted model, in seconds of the preset tiny on
Python's help(). quickstart: the same times of the preset quickstart on the benchmark corpus. shards: a stage over 10,
1,000 and 10,000 shards. engines: the data stages on threads, Ray and Dask, same text, same digests. Prints
`BENCH name value unit` lines, `gristmill --version` first, which shows the speed of the machine; homes are removed.
How soon work goes on after each kind of kill, `make chaos` measures (BENCH chaos.recovery.KIND).
"""

import argparse
import json
import os
import pydoc_data.topics
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import bench_data  # noqa: E402
import bench_scale  # noqa: E402

from tasks.artifacts.record import RunRecord, run_records  # noqa: E402

SHARE_AT_FIRST = 0.6
COMMON = ("--set", "clean.words.min_alpha_words=null", "--set", "release.gate.champion.mode=no_worse")
TOLERANT = ("--set", "retrain.min_new_tokens=1000", "--set", "release.gate.champion.margin=8")
QUICKSTART_MB, NEW_MB = 8.0, 2.0
"""Of the benchmark corpus: about what quickstart's own text comes to, and what arrives later."""
ENGINES = ("threads", "ray", "dask")
PEER_MB = 12.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=Path("~/.cache/gristmill-bench").expanduser())
    parser.add_argument("--megabytes", type=float, default=330.0, help="of corpus for the engines (330)")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    bench("command.version", command_s("--version"), "s")
    for name in given.only:
        PARTS[name](given)


def noop(_given: argparse.Namespace) -> None:
    """A retraining that finds nothing, and one that finds new text: seconds of the tiny preset."""
    topics = sorted(pydoc_data.topics.topics.items())
    first = round(len(topics) * SHARE_AT_FIRST)
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        retraining = Retraining(Path(folder), "tiny", "retrain")
        retraining.write("first", topics[:first])
        champion_s = retraining.run()
        bench("retrain.first_champion", champion_s, "s")
        for attempt in ("noop.first", "noop.second"):
            retraining.run_noop(attempt)
        retraining.write("second", topics[first:])
        promoted_s = retraining.run(*TOLERANT)
        bench("retrain.new_text_to_promoted", promoted_s, "s")
        bench("retrain.new_text_to_promoted_of_first", promoted_s / champion_s, "x")
        retraining.tell()


def quickstart(given: argparse.Namespace) -> None:
    """New text to a promoted model with the model and the budget of quickstart, on English of the corpus."""
    english = bench_of(given).files[0]
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder, english.open(encoding="utf-8") as lines:
        texts = ((f"{number:06d}", json.loads(line)["text"]) for number, line in enumerate(lines))
        retraining = Retraining(Path(folder), "quickstart", "quickstart")
        retraining.write("first", up_to(texts, QUICKSTART_MB))
        bench("quickstart.first_champion", retraining.run(), "s")
        retraining.run_noop("noop")
        retraining.write("second", up_to(texts, NEW_MB))
        bench("quickstart.new_text_to_promoted", retraining.run(*TOLERANT), "s")
        trained = next(done for name, done in retraining.newest.stages.items() if name == "train")
        bench("quickstart.new_text_to_promoted.training", trained.wall_s, "s")
        retraining.tell()


def shards(_given: argparse.Namespace) -> None:
    """What one shard costs a stage, its seal and its reuse, as they become more: 1 is linear."""
    cpu_s = {}
    for num_shards in bench_scale.SIZES:
        with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
            cpu_s[num_shards] = bench_scale.time_stage(num_shards, Path(folder))
    few, many = bench_scale.SIZES[1:]
    bench("shards.per_shard_10000_vs_1000", cpu_s[many] / many / (cpu_s[few] / few), "x")


def engines(given: argparse.Namespace) -> None:
    """The data stages on each engine, its start included; the digests must be the same."""
    data, made = bench_of(given), {}
    megabytes = sum(map(bench_data.text_mb, data.files))
    for name in (ENGINES[0], *ENGINES):  # the first time kernels are compiled and files come into memory
        out = given.folder / "engines"
        shutil.rmtree(out, ignore_errors=True)
        script = [sys.executable, HERE / "engines.py", name, out, data.tokenizer_folder, given.workers, *data.parts]
        made[name] = bench_data.run(script)
        shutil.rmtree(out, ignore_errors=True)
    bench("engines.corpus", megabytes, "MB")
    for name in ENGINES:
        report_engine(name, made[name], made["threads"])


def report_engine(name: str, mine: Mapping[str, Any], threads: Mapping[str, Any]) -> None:
    assert mine["digests"] == threads["digests"], f"{name} made other bytes"
    bench(f"engines.{name}.wall", mine["wall_s"], "s")
    for stage, seconds in mine["stages"].items():
        bench(f"engines.{name}.{stage}.wall", seconds["wall_s"], "s")
    if name != "threads":
        bench(f"engines.{name}_vs_threads", mine["wall_s"] / threads["wall_s"], "x")


class Retraining:
    """A home whose text grows; `name` begins the names of what it measures."""

    def __init__(self, folder: Path, preset: str, name: str) -> None:
        self.home, self.text, self.name = folder / "home", folder / "text", name
        sources = f"survey.sources=[{{name: text, path: '{self.text}'}}]"
        self._arguments = ("retrain", preset, "--set", sources, *COMMON)

    def write(self, folder: str, texts: Iterable[tuple[str, str]]) -> None:
        """Have text arrive."""
        (self.text / folder).mkdir(parents=True)
        for name, text in texts:
            (self.text / folder / f"{name.replace('/', '-')}.txt").write_text(text, encoding="utf-8")

    def run(self, *more: str) -> float:
        """Seconds of a retraining."""
        return command_s(*self._arguments, *more, "--home", str(self.home))

    def run_noop(self, attempt: str) -> None:
        """Measure a retraining that finds nothing, and what of it no stage worked in."""
        noop_s = self.run()
        bench(f"{self.name}.{attempt}.wall", noop_s, "s")
        bench(f"{self.name}.{attempt}.orchestration", noop_s - sum(s.wall_s for s in self.newest.stages.values()), "s")

    @property
    def newest(self) -> RunRecord:
        return list(run_records(self.home / "store"))[-1]

    def tell(self) -> None:
        print("\n".join(self.newest.notes), file=sys.stderr)


def bench_of(given: argparse.Namespace) -> bench_data.Bench:
    """The corpus, its parts and a vocabulary, made once."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(given.folder / "numba"))
    return bench_data.Bench(given.folder.absolute(), given.megabytes, PEER_MB)


def up_to(texts: Iterable[tuple[str, str]], megabytes: float) -> Iterable[tuple[str, str]]:
    """The next texts, about so many megabytes."""
    written = 0
    for name, text in texts:
        yield name, text
        written += len(text.encode())
        if written >= megabytes * 1e6:
            return


def command_s(*command: str) -> float:
    """Seconds of a command, from the shell's view."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "flows.cli", *command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def bench(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.4g} {unit}", flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "noop": noop,
    "quickstart": quickstart,
    "shards": shards,
    "engines": engines,
}

if __name__ == "__main__":
    main()
