"""The batches of a retraining as one result."""

from pathlib import Path

import pyarrow as pa

from tasks.artifacts.manifest import Metrics
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer
from tasks.gather import GatherParams, gather


def batch(seal, name: str, *texts: str):
    counts = {"docs_in": len(texts), "docs_kept": len(texts), "docs_rejected": 0}

    def fill(out: Path) -> None:
        others = {"source": "docs", "path": "x", "position": 0, "metadata": None, "language": None}
        rows = [{"id": text, "text": text, **others} for text in texts]
        with shard_writer(out / "kept" / "000000.arrow", DOCUMENT) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))

    return seal(name, fill, metrics=Metrics(counts=counts))


def rows(out: Path, column: str) -> list[str]:
    shards = sorted((out / "kept").glob("*.arrow"))
    return [value for shard in shards for part in read_batches(shard) for value in part.column(column).to_pylist()]


def test_new_documents_say_so_in_their_source_and_all_keep_the_order_of_their_batches(run, seal, tmp_path):
    old, new = batch(seal, "one", "a", "b"), batch(seal, "two", "c")
    metrics = gather.work(GatherParams(new=(new.digest,)), old, new, out=tmp_path / "out", run=run)
    assert rows(tmp_path / "out", "text") == ["a", "b", "c"]
    assert rows(tmp_path / "out", "source") == ["docs", "docs", "docs:new"]
    assert metrics.counts == {"docs_in": 3, "docs_kept": 3, "docs_rejected": 0, "new_docs": 1}


def test_old_shards_take_no_room_twice(run, seal, tmp_path):
    old = batch(seal, "one", "a")
    gather.work(GatherParams(), old, out=tmp_path / "out", run=run)
    (linked,) = (tmp_path / "out" / "kept").glob("*.arrow")
    assert linked.samefile(old.paths("kept/*.arrow")[0])


def test_the_recipe_names_every_batch_however_many_there_are(run, seal):
    batches = tuple(batch(seal, f"batch{number}", str(number)) for number in range(12))
    recipe = gather.recipe(GatherParams(), batches, run)
    assert [reference.digest for reference in recipe.inputs.values()] == [made.digest for made in batches]
    assert recipe.fingerprint != gather.recipe(GatherParams(), batches[:11], run).fingerprint
    assert recipe.fingerprint != gather.recipe(GatherParams(), batches[::-1], run).fingerprint
