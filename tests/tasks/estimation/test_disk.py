"""Disk by hand."""

from params.train import ModelParams
from tasks.estimation.corpus import Corpus
from tasks.estimation.disk import checkpoint_bytes, disk_parts
from tasks.estimation.parameters import count_parameters, matrix_elements
from tasks.estimation.shape import ModelShape

SHAPE = ModelShape.of(ModelParams(layers=2, width=64, heads=2), vocab_size=4096, context=64)
NUM = count_parameters(SHAPE).total


def test_a_checkpoint_is_weights_and_moments_in_float32():
    assert checkpoint_bytes(SHAPE, muon=False) == 12 * NUM
    sides = 2 * (4 * 64 + 3 * 192)  # two layers of four matrices 64 x 64 and three 64 x 192: the longer side of each
    assert checkpoint_bytes(SHAPE, muon=True) == 12 * NUM - 4 * matrix_elements(SHAPE) + 4 * sides


def test_checkpoints_shards_and_text_add_up():
    """Two checkpoints kept, one being written, the best weights; two bytes a token below 65,537 entries, else four."""
    small = disk_parts(SHAPE, Corpus(4096, 3.0, None, 1000, 10, ()), muon=False, keep_checkpoints=2)
    assert small.checkpoints == 3 * 12 * NUM + 4 * NUM
    assert small.shards == 2000
    assert small.text == 5 * 0.55 * 3000
    assert small.total == small.text + small.shards + small.checkpoints + small.model
    large = disk_parts(SHAPE, Corpus(100_000, 3.0, None, 1000, 10, ()), muon=False, keep_checkpoints=2)
    assert large.shards == 4000
    assert disk_parts(SHAPE, Corpus(4096, 3.0, None, None, None, ()), muon=False, keep_checkpoints=2).shards == 0
