"""What the number of shards costs: make bench-scale.

Runs `split` over 10, 1,000 and 10,000 shards of a document each, on plain threads, and measures what a result of a
million shards asks of manifest and scheduler, without making the shards. MAX_SHARDS=1000 leaves the largest out.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from params.run import RunParams
from params.split import SplitParams
from tasks.artifacts.manifest import FileRecord, Manifest, Metrics, Recipe, Timing, digest_files
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_name, shard_writer
from tasks.engine import grouped
from tasks.split import split

SIZES = (10, 1_000, 10_000)
MILLION = 1_000_000


def main() -> None:
    most = int(os.environ.get("MAX_SHARDS", str(SIZES[-1])))
    for num_shards in (size for size in SIZES if size <= most):
        with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
            time_stage(num_shards, Path(folder))
    time_manifest(MILLION)
    groups = grouped(range(MILLION), 256)
    bench("scale.million.tasks", len(groups), "")
    bench("scale.million.shards_per_task", max(len(group) for group in groups), "")


def time_stage(num_shards: int, folder: Path) -> float:
    """A stage from its inputs to its seal, and finding and checking the result again; its processor seconds."""
    run = Run(Store(folder / "store"), RunParams(workers=2), RunRecord.begin("bench", {}))
    unique = seal_documents(run, num_shards)
    began, cpu = time.perf_counter(), time.process_time()
    recipe = Recipe(stage="split", version=1, params={})
    with run.store.lock(recipe):
        draft = run.store.draft(recipe, {})
        metrics = split.work(SplitParams(validation=0.2, test=0.2), unique, out=draft, run=run)
        worked = time.perf_counter()
        made = run.store.seal(recipe, draft, metrics, timing=Timing(), made_by={})
    sealed, cpu_s = time.perf_counter(), time.process_time() - cpu
    found = run.store.find("split", made.fingerprint)
    assert found is not None
    assert run.store.is_complete(found)
    name = f"scale.{num_shards}"
    bench(f"{name}.work_per_shard", 1000 * (worked - began) / num_shards, "ms")
    bench(f"{name}.seal_per_shard", 1000 * (sealed - worked) / num_shards, "ms")
    bench(f"{name}.cpu_per_shard", 1000 * cpu_s / num_shards, "ms")
    bench(f"{name}.reuse", time.perf_counter() - sealed, "s")
    return cpu_s


def seal_documents(run: Run, num_shards: int) -> Manifest:
    """Shards of one document each."""
    recipe = Recipe(stage="dedup", version=1, params={})
    with run.store.lock(recipe):
        draft = run.store.draft(recipe, {})
        for number in range(num_shards):
            columns = [[f"{number:032x}"], ["s"], ["p"], [number], [f"text {number}"], [None], [None]]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, DOCUMENT.types, strict=True)]
            with shard_writer(draft / "kept" / shard_name(number), DOCUMENT) as writer:
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT))
        return run.store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})


def time_manifest(num_files: int) -> None:
    """The manifest of so many files: its size, writing and reading it, and its digest."""
    files = tuple(
        FileRecord(path=f"kept/{number:06d}.arrow", size_bytes=1 << 27, sha256=f"{number:064x}")
        for number in range(num_files)
    )
    began = time.perf_counter()
    digest = digest_files(files)
    bench("scale.million.digest", time.perf_counter() - began, "s")
    manifest = Manifest(
        stage="split", version=1, fingerprint="0" * 32, digest=digest, params={}, inputs={}, files=files,
        metrics=Metrics(), timing=Timing(), made_by={},
    )  # fmt: skip
    began = time.perf_counter()
    text = manifest.model_dump_json(indent=1)
    bench("scale.million.manifest", len(text) / 1e6, "MB")
    bench("scale.million.write_manifest", time.perf_counter() - began, "s")
    began = time.perf_counter()
    assert len(Manifest.model_validate_json(text).files) == num_files
    bench("scale.million.read_manifest", time.perf_counter() - began, "s")


def bench(name: str, value: float, unit: str) -> None:
    print(f"BENCH {name} {value:.4g} {unit}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
