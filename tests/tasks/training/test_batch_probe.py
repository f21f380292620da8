"""The micro batch found by trying."""

import itertools

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from params.errors import TrainingError
from params.train import ModelParams
from tasks.model.build import build_model
from tasks.training.batch_probe import Trial, choose, find_micro_blocks, sizes

CPU = torch.device("cpu")


@given(st.integers(1, 2000))
def test_sizes_are_divisors_that_at_least_double_from_one_to_the_whole_share(share):
    found = sizes(share)
    assert found[0] == 1
    assert found[-1] == share
    assert all(share % size == 0 for size in found)
    assert all(later >= 2 * earlier for earlier, later in itertools.pairwise(found))


def test_on_a_processor_the_fastest_is_taken_and_of_equals_the_larger():
    trials = [Trial(1, 1.0, 0), Trial(2, 1.0, 0), Trial(4, 1.99, 0), Trial(8, 4.6, 0)]  # 1, 2, 2.01, 1.74 blocks/s
    assert choose(trials, fastest=True).blocks == 4
    assert choose([*trials[:2], Trial(4, 2.01, 0)], fastest=True).blocks == 4  # 1.99: within 2 % of 2


def test_on_a_device_the_largest_that_fits_is_taken():
    assert choose([Trial(1, 1.0, 0), Trial(2, 4.0, 0)], fastest=False).blocks == 2


def test_passes_of_a_real_model_are_tried_and_one_size_is_chosen():
    model = build_model(
        ModelParams(layers=1, width=32, heads=2), vocab_size=64, context=16, begin=0, end=0, padding=1, seed=1
    )
    seen = []

    def step(blocks):
        seen.append(blocks)
        ids = torch.ones((blocks, 16), dtype=torch.int64)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        model.zero_grad(set_to_none=True)

    best = find_micro_blocks(step, 4, device=CPU)
    assert best.blocks in (1, 2, 4)
    assert best.seconds > 0
    assert best.peak_bytes > 1 << 20
    assert seen[:6] == [1, 1, 1, 2, 2, 2]  # one pass to warm up, two that are timed


def test_a_block_that_does_not_fit_is_told_with_what_to_change():
    with pytest.raises(TrainingError, match=r"shorten the context.*checkpoint_activations"):
        find_micro_blocks(lambda blocks: None, 4, device=CPU, reserve_bytes=1 << 60)


def test_sizes_end_where_memory_would():
    held = []

    def step(blocks):
        held[:] = [torch.ones(blocks * (16 << 20) // 4)]  # 16 MB a block

    room = psutil.Process().memory_info().rss + (100 << 20)
    best = find_micro_blocks(step, 64, device=CPU, memory_bytes=int(room / 0.9))
    assert best.blocks <= 8
