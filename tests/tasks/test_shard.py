"""The shard stage on real text."""

import numpy as np
import pyarrow as pa
import pytest

from params.errors import SourceError
from params.run import RunParams
from params.shard import ShardParams
from tasks.artifacts.digest import digest_file
from tasks.context import Run
from tasks.documents.shards import read_batches
from tasks.shard import shard
from tasks.shards.blocks import Blocks
from tasks.tokenizer.files import load_tokenizer, special_ids


def test_the_blocks_hold_the_documents_in_order_and_decode_to_their_texts(tokenizer, splits, shards):
    ids = special_ids(tokenizer.folder)
    decoder = load_tokenizer(tokenizer.folder)
    blocks = Blocks(shards.paths("train/*.arrow"))
    rows = blocks[np.arange(len(blocks))]
    stream = np.concatenate([rows[0, :1], rows[:, 1:].reshape(-1)])
    table = pa.ipc.open_file(pa.memory_map(str(shards.folder / "documents" / "train.arrow"))).read_all()
    texts = [t for path in splits.paths("train/*.arrow") for b in read_batches(path) for t in b["text"].to_pylist()]
    assert table.num_rows == len(texts)
    for offset, size, text in zip(table["offset"].to_pylist(), table["num_tokens"].to_pylist(), texts, strict=True):
        assert stream[offset] == ids.begin
        assert stream[offset + size + 1] == ids.begin
        assert decoder.decode(stream[offset + 1 : offset + 1 + size].tolist(), skip_special_tokens=False) == text


def test_the_shards_load_with_datasets(shards, tmp_path):
    from datasets import load_dataset

    files = [str(path) for path in shards.paths("train/*.arrow")]
    loaded = load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == shards.metrics.counts["train_blocks"]
    assert loaded[0]["input_ids"] == Blocks(shards.paths("train/*.arrow"))[np.array([0])][0].tolist()
    assert len(loaded[0]["input_ids"]) == 33


def test_neither_workers_nor_a_half_done_draft_change_a_byte(tokenizer, splits, run, tmp_path):
    params = ShardParams(context=32, blocks_per_shard=100)
    many = Run(run.store, RunParams(workers=4), run.record)

    def digests(out):
        return {str(p.relative_to(out)): digest_file(p) for p in out.rglob("*.arrow")}

    for name, with_run in (("one", run), ("many", many), ("resumed", run)):
        out = tmp_path / name
        out.mkdir()
        if name == "resumed":  # what a killed attempt leaves: one encoded shard, another's temporary file
            shard.work(params, tokenizer, splits, out=tmp_path / "killed", run=run)
            (out / "scratch" / "train").mkdir(parents=True)
            (out / "scratch" / "train" / "000001.npy.tmp").write_bytes(b"half")
        shard.work(params, tokenizer, splits, out=out, run=with_run)
    assert digests(tmp_path / "one") == digests(tmp_path / "many") == digests(tmp_path / "resumed")


def test_less_than_two_blocks_of_text_is_an_error_with_the_remedy(tokenizer, splits, run, tmp_path):
    with pytest.raises(SourceError, match=r"lower --set shard\.context"):
        shard.work(ShardParams(context=1_000_000), tokenizer, splits, out=tmp_path, run=run)
