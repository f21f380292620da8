"""What a warm start sees of old text."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer
from tasks.replay import ReplayParams, replay

OLD, NEW = [f"old {number:04}" for number in range(1000)], ["fresh one", "fresh two"]


@pytest.fixture
def splits(seal):
    def fill(out: Path) -> None:
        for name, source, texts in (("0", "web", OLD), ("1", "web:new", NEW)):
            others = {"source": source, "path": "x", "position": 0, "metadata": None, "language": None}
            rows = [{"id": text, "text": text, **others} for text in texts]
            with shard_writer(out / "train" / f"{name}.arrow", DOCUMENT) as writer:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))
            with shard_writer(out / "test" / f"{name}.arrow", DOCUMENT) as writer:
                writer.write_batch(pa.RecordBatch.from_pylist(rows[:1], schema=DOCUMENT))

    return seal("split", fill)


def texts(out: Path, side: str) -> list[str]:
    shards = sorted((out / side).glob("*.arrow"))
    return [text for shard in shards for batch in read_batches(shard) for text in batch.column("text").to_pylist()]


def test_all_new_text_and_about_the_wanted_bytes_of_old_text_are_kept_in_their_order(splits, run, tmp_path):
    metrics = replay.work(ReplayParams(max_bytes=2_400), splits, out=tmp_path, run=run)  # of 8,000: three in ten
    kept = texts(tmp_path, "train")
    assert kept[-2:] == NEW
    assert kept[:-2] == [text for text in OLD if text in set(kept)]
    assert len(kept) - 2 == pytest.approx(300, abs=60)  # four deviations of a binomial
    assert metrics.counts == {"train_docs": len(kept), "old_docs_left": 1002 - len(kept)}
    assert texts(tmp_path, "test") == [OLD[0], NEW[0]]


def test_more_of_the_old_text_holds_what_less_of_it_held(splits, run, tmp_path):
    few, more = tmp_path / "few", tmp_path / "more"
    for out, size in ((few, 800), (more, 4_000)):
        replay.work(ReplayParams(max_bytes=size), splits, out=out, run=run)
    assert set(texts(few, "train")) < set(texts(more, "train"))


def test_where_all_may_be_read_shards_are_linked(splits, run, tmp_path):
    replay.work(ReplayParams(max_bytes=10_000), splits, out=tmp_path, run=run)
    assert texts(tmp_path, "train") == OLD + NEW
    assert (tmp_path / "train" / "0.arrow").stat().st_nlink > 1
