"""From documents to blocks and back, for every kind of layout."""

import numpy as np
import pyarrow as pa
import pytest

from params.shard import ShardParams
from tasks.shard import shard
from tasks.shards.blocks import Blocks
from tasks.shards.places import documents_in, places_of, rows_of

LAYOUTS = {
    "greedy": {},
    "best_fit": {"packing": "best_fit"},
    "greedy_mixed": {"mixture": {"docs": 1, "poems": 0.05}, "shuffle_seed": 1},
    "best_fit_mixed": {"packing": "best_fit", "mixture": {"docs": 1, "poems": 0.05}},
}


@pytest.fixture(scope="module", params=LAYOUTS)
def packed(request, tokenizer, splits, world, tmp_path_factory):
    """A result with several shards."""
    out = tmp_path_factory.mktemp(request.param)
    params = ShardParams(context=32, blocks_per_shard=100, **LAYOUTS[request.param])
    shard.work(params, tokenizer, splits, out=out, run=world)
    return out


def table_of(folder, split):
    return pa.ipc.open_file(pa.memory_map(str(folder / "documents" / f"{split}.arrow"))).read_all()


def test_a_block_names_its_documents_and_each_of_them_names_the_block(packed):
    table = table_of(packed, "train")
    paths = sorted((packed / "train").glob("*.arrow"))
    assert len(paths) > 1
    for path, row in ((paths[0], 0), (paths[0], 99), (paths[1], 0), (paths[-1], len(Blocks([paths[-1]])) - 1)):
        block = Blocks([path])[np.array([row])][0]
        occupants = documents_in(packed, "train", path.name, row)
        assert [occupant.first for occupant in occupants] == sorted(occupant.first for occupant in occupants)
        covered = [at for occupant in occupants for at in range(occupant.first, occupant.last + 1)]
        assert covered == np.flatnonzero(~np.isin(block, [0, 1])).tolist()  # all but begin tokens and padding
        for occupant in occupants:
            assert table["id"][occupant.document].as_py() == occupant.id
            assert table["source"][occupant.document].as_py() == occupant.source
            assert occupant.path == "x"
            here = [
                p
                for p in places_of(packed, "train", occupant.document)
                if (p.shard, p.row) == (f"train/{path.name}", row)
            ]
            assert (occupant.first, occupant.last, occupant.start) in [(p.first, p.last, p.start) for p in here]


def test_the_places_of_a_document_hold_all_its_tokens(packed, shards):
    table = table_of(packed, "train")
    reference = table_of(shards.folder, "train")
    rows = Blocks(shards.paths("train/*.arrow"))
    rows = rows[np.arange(len(rows))]
    stream = np.concatenate([rows[0, :1], rows[:, 1:].reshape(-1)])
    blocks = {f"train/{path.name}": Blocks([path]) for path in (packed / "train").glob("*.arrow")}
    used = 0
    for document in (0, 5, table.num_rows - 1):
        offset, length = reference["offset"][document].as_py(), reference["num_tokens"][document].as_py()
        found = {}
        for place in places_of(packed, "train", document):
            run = blocks[place.shard][np.array([place.row])][0, place.first : place.last + 1].tolist()
            found |= dict(enumerate(run, place.start))
        if found:
            used += 1
            assert [found[at] for at in range(length)] == stream[offset + 1 : offset + 1 + length].tolist()
    assert used


def test_a_document_is_found_by_its_id_in_its_split_alone(packed):
    doc_id = table_of(packed, "test")["id"][3].as_py()
    assert 3 in rows_of(packed, "test", doc_id)
    assert rows_of(packed, "test", "no such id") == []
    assert places_of(packed, "test", 3)
