"""The index and the table of a split's documents."""

import numpy as np
import pyarrow as pa
import xxhash

from tasks.documents.shards import shard_writer
from tasks.shards.documents import count_bytes, read_columns, read_index, write_documents
from tasks.shards.encoding import ENCODED, Encoded

ROWS = 40_000


def encoded(folder, cuts):
    """Tables of encoded documents, the same ones however they are cut into files and batches."""
    source = ["web" if row % 3 else "books" for row in range(ROWS)]
    source[-1] = "atlas"
    columns = [[f"{row:x}" for row in range(ROWS)], source, ["file"] * ROWS, [*range(ROWS)], [7] * ROWS, [2] * ROWS]
    whole = pa.record_batch(columns, schema=ENCODED)
    parts = [Encoded(folder / f"{number}.tokens", folder / f"{number}.arrow") for number in range(len(cuts) - 1)]
    for part, first, last in zip(parts, cuts[:-1], cuts[1:], strict=True):
        with shard_writer(part.documents, ENCODED) as writer:
            for start in range(first, last, 700):
                writer.write_batch(whole.slice(start, min(700, last - start)))
    return parts


def serially(unit, items, *, name):
    return [unit(item) for item in items]


def test_the_table_has_batches_of_one_size_however_the_input_is_cut(tmp_path):
    offsets = np.arange(ROWS) * 3
    paths = []
    for cuts in ([0, ROWS], [0, 1, 16_384, 39_000, ROWS]):
        folder = tmp_path / str(len(cuts))
        paths.append(folder / "documents.arrow")
        write_documents(paths[-1], encoded(folder, cuts), offsets)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    batches = list(read_columns(paths[0], ["position", "offset"]))
    assert [len(batch) for batch in batches] == [16_384, 16_384, 7_232]
    table = pa.Table.from_batches(batches)
    assert table["position"].to_pylist() == [*range(ROWS)]
    assert table["offset"].to_pylist() == offsets.tolist()
    assert count_bytes(paths[0]) == 7 * ROWS


def test_the_index_is_the_same_however_the_input_is_cut(tmp_path):
    for cuts in ([0, ROWS], [0, 1, 16_384, 39_000, ROWS]):
        index = read_index(encoded(tmp_path, cuts), seed=5, run_map=serially)
        assert index.starts.tolist() == [row * 3 for row in range(ROWS + 1)]
        assert index.names == ("atlas", "books", "web")
        assert index.sources[[0, 1, 3, -1]].tolist() == [1, 2, 1, 0]
        assert index.hashes[17] == xxhash.xxh3_64_intdigest(b"11", 5)
        assert len(index.hashes) == index.num_docs == ROWS


def test_without_a_seed_only_lengths_are_read(tmp_path):
    index = read_index(encoded(tmp_path, [0, ROWS]), seed=None, run_map=serially)
    assert index.lengths.tolist() == [2] * ROWS
    assert (len(index.hashes), len(index.sources), index.names) == (0, 0, ())
