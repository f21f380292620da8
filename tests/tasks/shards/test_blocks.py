"""Block files: written in batches, read at random."""

import numpy as np
import pyarrow as pa

from tasks.shards.blocks import Blocks, write_blocks
from tasks.shards.greedy import Greedy
from tasks.shards.packing import BlockFormat, Copies

DOCS = [list(range(2, 2 + length)) for length in (5, 30, 1, 12, 44)]


def write(store, folder, *, rows, batch_bytes=1 << 25):
    stream, starts = store(DOCS)
    layout = Greedy(stream, Copies(starts), BlockFormat(4, begin=0, padding=1))
    paths = []
    for first in range(0, layout.num_blocks, rows):
        paths.append(folder / f"{first:06d}.arrow")
        write_blocks(paths[-1], layout, first, min(first + rows, layout.num_blocks), batch_bytes=batch_bytes)
    return layout.blocks(0, layout.num_blocks), paths


def test_blocks_are_read_at_random_over_all_files(store, tmp_path):
    expected, paths = write(store, tmp_path, rows=7)
    blocks = Blocks(paths)
    assert (len(blocks), blocks.context) == (len(expected), 4)
    indices = np.random.default_rng(1).permutation(len(expected))
    for chosen in (indices, indices[:0], np.array([3, 3, 0])):
        assert np.array_equal(blocks[chosen], expected[chosen])
        assert blocks[chosen].dtype == np.int64


def test_a_large_file_is_written_and_read_batch_by_batch(store, tmp_path):
    expected, (path,) = write(store, tmp_path, rows=1000, batch_bytes=50)
    assert pa.ipc.open_file(pa.memory_map(str(path))).num_record_batches == 5  # of 5 blocks each
    assert np.array_equal(Blocks([path])[np.arange(len(expected))], expected)
