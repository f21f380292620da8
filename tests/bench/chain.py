"""Our side of bench_data.py: JSON lines to token shards by the stages themselves, without servers.

    python tests/bench/chain.py OUT TOKENIZER WORKERS LAST PARAMETERS FILE.jsonl …

TOKENIZER is a folder, LAST the stage to end with, PARAMETERS a JSON object of sections, such as
{"dedup": {"signature": "14x8"}}. Prints one JSON object: processor and wall seconds and peak memory of every stage.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from params.pipeline import PipelineParams
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing
from tasks.artifacts.memory import PeakMemory, limit_arenas, release_memory
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run, roots_of
from tasks.engine import Engine

WARM_UP_DOCS = 300
STAGES = ("survey", "ingest", "clean", "dedup", "split", "shard")


def main() -> None:
    limit_arenas()
    out, tokenizer, cores, last, parameters = sys.argv[1:6]
    workers = keep_to_cores([int(core) for core in cores.split(",")])
    sections = json.loads(parameters) | {"survey": {"sources": sources(sys.argv[6:])}}
    params = PipelineParams.model_validate(sections | {"run": {"workers": workers}})
    warm_up(params, [Path(file) for file in sys.argv[6:]], Path(tokenizer), last)
    print(json.dumps(measure(params, Path(out), Path(tokenizer), last)))


def keep_to_cores(cores: list[int]) -> int:
    """One worker is one core: libraries have threads of their own, and the encoder's would take all there are."""
    os.environ["RAYON_NUM_THREADS"] = str(len(cores))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    return len(cores)


def sources(files: Sequence[str | Path]) -> list[dict[str, str]]:
    return [{"name": Path(file).stem, "path": str(file)} for file in files]


def measure(
    params: PipelineParams, out: Path, tokenizer: Path, last: str, engine: Engine | None = None
) -> dict[str, Any]:
    """Run the data stages one after the other, on plain threads or on an engine; seconds by stage."""
    run = Run(Store(out), params.run, RunRecord.begin("bench", {}), roots=roots_of(params), engine=engine)
    vocabulary = seal(run, "train_tokenizer", lambda folder: copy_tokenizer(tokenizer, folder))
    made: dict[str, Manifest] = {}
    seconds: dict[str, dict[str, float]] = {}
    begin = time.process_time(), time.perf_counter()
    for name in STAGES[: STAGES.index(last) + 1]:
        cpu, wall, memory = time.process_time(), time.perf_counter(), PeakMemory()
        made[name] = run_stage(name, params, run, made, vocabulary)
        seconds[name] = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        seconds[name]["peak_mb"] = memory.read_mb()
        release_memory()
    return {
        "cpu_s": time.process_time() - begin[0],
        "wall_s": time.perf_counter() - begin[1],
        "peak_mb": max(stage["peak_mb"] for stage in seconds.values()),
        "stages": seconds,
        "digests": {name: manifest.digest for name, manifest in made.items()},
        "counts": {name: manifest.metrics.counts for name, manifest in made.items()},
    }


def run_stage(name: str, params: PipelineParams, run: Run, made: dict[str, Manifest], vocabulary: Manifest) -> Manifest:
    before = list(made.values())[-1:]
    return seal_stage(name, params, run, [vocabulary, *before] if name == "shard" else before)


def seal_stage(name: str, params: PipelineParams, run: Run, inputs: list[Manifest]) -> Manifest:
    """Run one stage on results in the store."""
    from importlib import import_module

    stage = getattr(import_module(f"tasks.{name}"), name)
    return seal(run, name, lambda folder: stage.work(getattr(params, name), *inputs, out=folder, run=run))


def seal(run: Run, name: str, work: Callable[[Path], Metrics]) -> Manifest:
    recipe = Recipe(stage=name, version=1, params={})
    with run.store.lock(recipe):
        draft = run.store.draft(recipe, {})
        return run.store.seal(recipe, draft, work(draft), timing=Timing(), made_by={}, volatile=("logs/*",))


def copy_tokenizer(tokenizer: Path, folder: Path) -> Metrics:
    from tasks.tokenizer import files

    files.copy_tokenizer(tokenizer, folder)
    return Metrics()


def warm_up(params: PipelineParams, files: list[Path], tokenizer: Path, last: str) -> None:
    """The same on a little of the text: loads libraries, tables and kernels, which it compiles the first time."""
    with TemporaryDirectory() as scratch:
        few = [write_head(file, Path(scratch) / f"{number}.jsonl") for number, file in enumerate(files)]
        params = PipelineParams.model_validate(params.model_dump() | {"survey": {"sources": sources(few)}})
        measure(params, Path(scratch) / "store", tokenizer, last)


def write_head(file: Path, into: Path) -> Path:
    """The first documents of a file or of the first file of a folder."""
    first = min(file.iterdir()) if file.is_dir() else file
    with first.open("rb") as lines:
        into.write_bytes(b"".join(itertools.islice(lines, WARM_UP_DOCS)))
    return into


if __name__ == "__main__":
    main()
