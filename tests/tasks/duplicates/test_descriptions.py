"""Descriptions of documents across shards."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from params.dedup import DedupParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_name, shard_writer
from tasks.duplicates.descriptions import Descriptions, describe_shard, digests_of
from tasks.duplicates.signatures import sign

TEXTS = ["one two three four five six", "", "床前明月光，疑是地上霜。", "seven"]
PARAMS = DedupParams(signature="3x2")


def write_shards(folder: Path, *shards: list[str]) -> list[Path]:
    paths = [folder / shard_name(index) for index in range(len(shards))]
    for path, texts in zip(paths, shards, strict=True):
        with shard_writer(path, DOCUMENT) as writer:
            for text in texts:
                row = {"id": "0", "source": "s", "path": "p", "position": 0, "text": text}
                writer.write_batch(pa.RecordBatch.from_pylist([row], schema=DOCUMENT))
    return paths


def described(folder: Path, *shards: list[str], params: DedupParams = PARAMS) -> Descriptions:
    paths = write_shards(folder / "kept", *shards)
    for path in paths:
        describe_shard(path, params=params, folder=folder / "scratch")
    return Descriptions(folder / "scratch", paths)


def test_a_digest_is_the_xxh3_128_of_the_text():
    expected = [xxhash.xxh3_128_hexdigest(text.encode()) for text in TEXTS]
    digests = digests_of(pa.array(["x", *TEXTS], pa.large_string()).slice(1))
    assert [f"{high:016x}{low:016x}" for high, low in digests.tolist()] == expected


@pytest.mark.parametrize("shards", [[TEXTS], [TEXTS[:1], [], TEXTS[1:]], [[], *([text] for text in TEXTS), []]])
def test_documents_are_numbered_in_shard_order_however_they_lie_in_shards(shards, tmp_path):
    descriptions = described(tmp_path, *shards)
    column = pa.array(TEXTS, pa.large_string())
    expected, everyone = sign(column, PARAMS), np.arange(4)
    assert len(descriptions) == 4
    assert descriptions.sizes.tolist() == [[27, 2], [0, 0], [36, 3], [5, 1]]
    assert descriptions.digests.tolist() == digests_of(column).tolist()
    assert descriptions.band(1, everyone).tolist() == expected.bands[1].tolist()
    some, copied = np.array([3, 0, 2]), np.zeros((3, 6), np.uint32)
    descriptions.copy_minima(some, copied)
    assert copied.tolist() == expected.minima[some].tolist()


def test_without_near_duplicates_no_signature_is_made(tmp_path):
    descriptions = described(tmp_path, TEXTS, params=DedupParams(near=False))
    assert descriptions.sizes[:, 1].tolist() == [0, 0, 0, 0]


def test_a_shard_that_an_earlier_attempt_described_is_not_described_again(tmp_path):
    described(tmp_path, TEXTS)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "scratch").rglob("descriptions")}
    described(tmp_path, TEXTS)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "scratch").rglob("descriptions")} == done


def test_nothing_at_all_can_be_described(tmp_path):
    assert len(described(tmp_path)) == 0
