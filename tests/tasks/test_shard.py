"""The shard stage on real text."""

import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from params.errors import ParameterError, SourceError
from params.run import RunParams
from params.shard import ShardParams
from tasks.artifacts.digest import digest_file
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.documents.shards import read_batches, shard_writer
from tasks.shard import shard
from tasks.shards.blocks import Blocks
from tasks.tokenizer.files import load_tokenizer, save_tokenizer, special_ids
from tasks.tokenizer.special import DEFAULT_TOKENS

MIXED = {"packing": "best_fit", "mixture": {"docs": 1, "poems": 0.02}, "shuffle_seed": 7}
KINDS = {
    "greedy": {},
    "best_fit": {"packing": "best_fit"},
    "mixed": MIXED,
    "greedy_mixed": MIXED | {"packing": "greedy"},
}


def table_of(folder, split):
    return pa.ipc.open_file(pa.memory_map(str(folder / "documents" / f"{split}.arrow"))).read_all()


def texts_of(splits: Manifest, split: str) -> list[str]:
    return [
        text for path in splits.paths(f"{split}/*.arrow") for b in read_batches(path) for text in b["text"].to_pylist()
    ]


def digests(out):
    return {str(path.relative_to(out)): digest_file(path) for path in out.rglob("*") if path.is_file()}


def test_the_blocks_hold_the_documents_in_order_and_decode_to_their_texts(tokenizer, splits, shards):
    ids = special_ids(tokenizer.folder)
    decoder = load_tokenizer(tokenizer.folder)
    blocks = Blocks(shards.paths("train/*.arrow"))
    rows = blocks[np.arange(len(blocks))]
    stream = np.concatenate([rows[0, :1], rows[:, 1:].reshape(-1)])
    table = table_of(shards.folder, "train")
    texts = texts_of(splits, "train")
    assert table.num_rows == len(texts)
    for offset, size, text in zip(table["offset"].to_pylist(), table["num_tokens"].to_pylist(), texts, strict=True):
        assert stream[offset] == ids.begin
        assert stream[offset + size + 1] == ids.begin
        assert decoder.decode(stream[offset + 1 : offset + 1 + size].tolist(), skip_special_tokens=False) == text


@pytest.mark.parametrize("kind", ["best_fit", "mixed", "greedy_mixed"])
def test_the_pieces_give_back_every_text_as_often_as_it_is_used(tokenizer, splits, run, tmp_path, kind):
    metrics = shard.work(
        ShardParams(context=32, blocks_per_shard=64, **KINDS[kind]), tokenizer, splits, out=tmp_path, run=run
    )
    decoder = load_tokenizer(tokenizer.folder)
    tokens: Counter[int] = Counter()
    found: dict[int, dict[int, int]] = {}
    for path in sorted((tmp_path / "train").glob("*.arrow")):
        blocks = Blocks([path])
        pieces = pa.ipc.open_file(pa.memory_map(str(tmp_path / "pieces" / "train" / path.name))).read_all()
        for piece in pieces.to_pylist():
            run_of = blocks[np.array([piece["block"]])][0, piece["at"] : piece["at"] + piece["length"]].tolist()
            found.setdefault(piece["document"], {}).update(enumerate(run_of, piece["start"]))
            tokens[piece["document"]] += piece["length"]
    texts = texts_of(splits, "train")
    for document, run_of in found.items():
        assert decoder.decode([run_of[at] for at in sorted(run_of)], skip_special_tokens=False) == texts[document]
    assert table_of(tmp_path, "train")["offset"].null_count == len(texts)
    if kind == "best_fit":
        assert len(found) == len(texts)
        assert sum(tokens.values()) == metrics.counts["train_tokens"]
    else:  # 0.02 of the tokens are of one poem: it is repeated until max_repeats, the rest is a part of the others
        poem = texts.index(next(text for text in texts if "明月" in text))
        assert tokens[poem] >= 4 * len(found[poem])


def test_the_report_says_what_packing_and_mixture_made_of_the_documents(tokenizer, splits, run, tmp_path):
    metrics = shard.work(ShardParams(context=32, **MIXED), tokenizer, splits, out=tmp_path, run=run)
    report = json.loads((tmp_path / "report.json").read_text())
    docs, poems = report["train"]["mixture"]
    assert (poems["source"], poems["repeats"], poems["used_docs"]) == ("poems", 4.0, 4)
    assert poems["used_tokens"] / (docs["used_tokens"] + poems["used_tokens"]) == pytest.approx(0.02 / 1.02, rel=0.05)
    assert report["train"]["counts"]["tokens"] == docs["used_tokens"] + poems["used_tokens"]
    table = table_of(tmp_path, "train")
    assert metrics.values["cropped_docs_share"] == report["train"]["packing"]["cropped_docs_share"] <= 1
    assert 0 < metrics.values["padding_share"] < 0.05
    greedy = report["validation"]["packing"]
    lengths = np.array(table_of(tmp_path, "validation")["num_tokens"].to_pylist())
    blocks = [
        len({(at - 1) // 32 for at in range(end - size, end)})
        for size, end in zip(lengths, np.cumsum(lengths + 1), strict=True)
    ]
    assert greedy["pieces_per_doc"] == pytest.approx(np.mean(blocks), abs=1e-4)
    assert greedy["cropped_docs_share"] == pytest.approx(np.mean(np.array(blocks) > 1), abs=1e-6)
    assert table.num_rows == metrics.counts["train_docs"]


def test_best_fit_crops_only_documents_longer_than_a_block(tokenizer, splits, run, tmp_path):
    shares = {}
    for packing in ("greedy", "best_fit"):
        out = tmp_path / packing
        metrics = shard.work(ShardParams(context=256, packing=packing), tokenizer, splits, out=out, run=run)
        shares[packing] = metrics.values["cropped_docs_share"]
    longer = np.array(table_of(tmp_path / "best_fit", "train")["num_tokens"].to_pylist()) > 256
    assert shares["best_fit"] == pytest.approx(longer.mean(), abs=1e-6)
    assert shares["best_fit"] < shares["greedy"]


@pytest.mark.parametrize("kind", ["greedy", "best_fit"])
def test_the_shards_load_with_datasets(tokenizer, splits, run, tmp_path, kind):
    from datasets import load_dataset

    shard.work(ShardParams(context=32, blocks_per_shard=100, **KINDS[kind]), tokenizer, splits, out=tmp_path, run=run)
    paths = sorted((tmp_path / "train").glob("*.arrow"))
    files = [str(path) for path in paths]
    loaded = load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    blocks = Blocks(paths)
    assert len(loaded) == len(blocks) > 100
    indices = np.random.default_rng(0).integers(0, len(blocks), 20)
    assert np.array_equal(loaded.with_format("numpy")[indices]["input_ids"], blocks[indices])


@pytest.mark.parametrize(("vocab_size", "width"), [(65_536, "uint16"), (65_537, "uint32")])
def test_ids_take_two_bytes_up_to_65536_entries_and_four_beyond(
    tokenizer, splits, run, seal, tmp_path, vocab_size, width
):
    wide = load_tokenizer(tokenizer.folder)
    wide.add_tokens([f"\u0001{number}\u0001" for number in range(vocab_size - wide.get_vocab_size())])
    large = seal("train_tokenizer", lambda out: save_tokenizer(wide, DEFAULT_TOKENS, out, chat_template=None))
    shard.work(ShardParams(context=32), large, splits, out=tmp_path, run=run)
    schema = pa.ipc.open_file(pa.memory_map(str(tmp_path / "train" / "000000.arrow"))).schema
    assert schema.field("input_ids").type == pa.list_(getattr(pa, width)(), 33)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_workers_nor_the_cut_of_the_input_change_a_byte(tokenizer, splits, run, seal, tmp_path, kind):
    params = ShardParams(context=32, blocks_per_shard=100, **KINDS[kind])
    many = Run(run.store, RunParams(workers=8), run.record)

    def fill(cuts: int):
        def write(out):
            for split in ("train", "validation", "test"):
                whole = pa.concat_batches([b for path in splits.paths(f"{split}/*.arrow") for b in read_batches(path)])
                bounds = np.arange(cuts + 1) * len(whole) // cuts
                for number, (first, last) in enumerate(pairwise(bounds.tolist())):
                    with shard_writer(out / split / f"{number:06d}.arrow", whole.schema) as writer:
                        writer.write_batch(whole.slice(first, last - first))

        return write

    made = []
    whole, cut = seal("split_whole", fill(1)), seal("split_cut", fill(5))
    for documents, with_run in ((whole, run), (cut, many), (cut, run)):
        out = tmp_path / str(len(made))
        out.mkdir()
        shard.work(params, tokenizer, documents, out=out, run=with_run)
        made.append(digests(out))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 6


@pytest.mark.parametrize("kind", ["greedy", "mixed"])
@pytest.mark.parametrize(("step", "units"), [("encode shard", 1), ("write train blocks", 3)])
def test_a_killed_attempt_goes_on_and_makes_the_same_bytes(tokenizer, splits, run, tmp_path, kind, step, units):
    params = ShardParams(context=32, blocks_per_shard=100, **KINDS[kind])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    shard.work(params, tokenizer, splits, out=whole, run=run)
    places = [step, str(units), params.model_dump_json(), str(killed), str(run.store.root)]
    inputs = [f"{m.model_dump_json()}\n{m.folder}" for m in (tokenizer, splits)]
    child = subprocess.run([sys.executable, "-c", KILLED, *places, *inputs], capture_output=True, text=True)
    assert child.returncode == -9, child.stderr
    left = [path for path in killed.rglob("*") if path.is_file()]
    assert any(path.suffix == ".tokens" for path in left)
    before = {path: path.stat().st_mtime_ns for path in left if path.suffix in (".tokens", ".arrow")}
    encoded = [path for path in before if scratch_folder(killed) in path.parents]
    assert encoded
    shard.work(params, tokenizer, splits, out=killed, run=run)
    assert digests(killed) == digests(whole)
    for path in before.keys() - set(encoded):
        assert path.stat().st_mtime_ns == before[path], "finished files are not made again"


KILLED = """
import os, signal, sys
from pathlib import Path
from params.run import RunParams
from params.shard import ShardParams
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.shard import shard

_, step, units, params, out, store, *inputs = sys.argv

class Killed(Run):
    def map(self, unit, items, *, name):
        made = []
        for item in items:
            made.append(unit(item))
            if name == step and len(made) == int(units):
                os.kill(os.getpid(), signal.SIGKILL)
        return made

manifests = [Manifest.model_validate_json(text.split("\\n")[0]).located(Path(text.split("\\n")[1])) for text in inputs]
run = Killed(Store(Path(store)), RunParams(workers=1), RunRecord.begin("test", {}))
shard.work(ShardParams.model_validate_json(params), *manifests, out=Path(out), run=run)
"""


def test_less_than_two_blocks_of_text_is_an_error_with_the_remedy(tokenizer, splits, run, tmp_path):
    with pytest.raises(SourceError, match=r"lower --set shard\.context"):
        shard.work(ShardParams(context=1_000_000), tokenizer, splits, out=tmp_path, run=run)


def test_a_source_without_a_weight_is_an_error_that_names_it(tokenizer, splits, run, tmp_path):
    with pytest.raises(ParameterError, match=r"no weight to source poems \(did you mean it by poem\?\)"):
        shard.work(ShardParams(mixture={"docs": 1, "poem": 1}), tokenizer, splits, out=tmp_path, run=run)


def test_weights_must_be_numbers_that_can_be_shared_out():
    with pytest.raises(ValidationError, match="the weight of web is -1"):
        ShardParams(mixture={"web": -1})
    with pytest.raises(ValidationError, match="no source has a weight above 0"):
        ShardParams(mixture={"web": 0})
