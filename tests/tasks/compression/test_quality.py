"""Quality figures against arithmetic by hand."""

import numpy as np

from tasks.compression.quality import _Sums, agreement, continue_greedily, measure_quality
from tasks.graph.held_out import held_out_blocks
from tasks.serving.generator import OnnxModel


def test_divergence_loss_and_agreement_of_two_coins():
    base = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    mine = np.log(np.array([[0.25, 0.75], [0.8, 0.2]]))
    sums = _Sums()
    sums.add(base, mine, np.array([0, 1]))
    assert sums.tokens == 2
    np.testing.assert_allclose(sums.loss, -np.log(0.25) - np.log(0.2))
    first = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    second = 0.9 * np.log(0.9 / 0.8) + 0.1 * np.log(0.1 / 0.2)
    np.testing.assert_allclose(sums.kl, first + second)
    assert sums.top1 == 1


def test_agreement_counts_up_to_the_first_difference():
    assert agreement([[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 9, 4], [5, 6, 7, 8]]) == (0.5 + 1.0) / 2


def test_a_graph_agrees_with_itself_and_padding_is_no_target(workshop):
    model = OnnxModel(workshop.graph("qwen3").folder / "fp32")
    blocks = held_out_blocks(workshop.shards(), 100)
    assert blocks[-1][-1] == model.settings.pad_token_id
    quality = measure_quality({"fp32": model, "same": model}, blocks, greedy_tokens=8)["same"]
    assert (quality.loss_increase, quality.kl, quality.top1_agreement, quality.greedy_agreement) == (0, 0, 1, 1)


def test_greedy_prompts_leave_room_for_the_tokens_asked_for(workshop):
    model = OnnxModel(workshop.graph("qwen3").folder / "fp32")
    blocks = held_out_blocks(workshop.shards(), 2)
    assert [len(made) for made in continue_greedily(model, blocks, 1000)] == [48, 48]
