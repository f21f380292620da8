"""The objective, the rate and the order of healing, against arithmetic by hand."""

import json
import math

import numpy as np
import pytest
import torch

from params.errors import TrainingError
from params.model import ModelParams
from params.prune import PruneParams
from tasks.compression.healing import Lesson, block_indices, divergence, heal, rate_factor
from tasks.model.build import build_model
from tasks.training.batch import IGNORED, make_batch


def test_divergence_of_two_coins_leaves_out_padding_and_heats_the_logits():
    teacher = torch.tensor([[[math.log(3.0), 0.0], [9.0, 0.0]]])
    student = torch.tensor([[[0.0, 0.0], [0.0, 9.0]]])
    targets = torch.tensor([[1, IGNORED]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(divergence(student, teacher, targets, 1.0)) == pytest.approx(expected)
    warm = math.sqrt(3) / (1 + math.sqrt(3))
    heated = warm * math.log(warm / 0.5) + (1 - warm) * math.log((1 - warm) / 0.5)
    assert float(divergence(student, teacher, targets, 2.0)) == pytest.approx(4 * heated)


def test_the_rate_rises_for_a_twentieth_and_falls_to_nothing():
    rates = [rate_factor(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == pytest.approx(1.0, abs=0.02)
    assert max(rates) <= 1.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_an_epoch_has_every_block_once_and_the_next_has_another_order():
    lesson = Lesson(PruneParams(batch_blocks=3), num_blocks=6, steps=4, batch=lambda _: pytest.fail("unused"))
    steps = [block_indices(step, lesson) for step in range(4)]
    first, second = np.concatenate(steps[:2]), np.concatenate(steps[2:])
    assert sorted(first) == sorted(second) == list(range(6))
    assert first.tolist() != second.tolist()


def tiny_model(seed):
    model = build_model(
        ModelParams(layers=2, width=32, heads=2), vocab_size=50, context=16, begin=0, end=0, padding=1, seed=seed
    )
    return model.train(False)


def lesson_that_ends_at(call):
    """Twelve steps; the text of one step never comes."""
    blocks = np.random.default_rng(0).integers(2, 50, (6, 17))
    asked = []

    def batch(indices):
        asked.append(indices)
        if len(asked) == call:
            raise KeyboardInterrupt
        return make_batch(blocks[indices], begin=0, padding=1, device=torch.device("cpu"))

    return Lesson(PruneParams(batch_blocks=2, save_every_steps=5), num_blocks=6, steps=12, batch=batch)


def test_a_healing_that_was_killed_goes_on_and_ends_with_the_same_weights(tmp_path):
    teacher, undisturbed, killed = tiny_model(0), tiny_model(1), tiny_model(1)
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    heal(undisturbed, teacher, lesson_that_ends_at(None), tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        heal(killed, teacher, lesson_that_ends_at(8), tmp_path / "killed")
    again = tiny_model(1)
    heal(again, teacher, lesson_that_ends_at(8), tmp_path / "killed")  # seven steps are left
    for mine, theirs in zip(again.state_dict().values(), undisturbed.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    curves = [(tmp_path / name / "healing.jsonl").read_text() for name in ("killed", "undisturbed")]
    assert curves[0] == curves[1]
    assert [json.loads(line)["step"] for line in curves[0].splitlines()] == [10, 12]


def test_healing_brings_the_student_nearer_to_the_teacher(tmp_path):
    teacher, student = tiny_model(0), tiny_model(1)
    heal(student, teacher, lesson_that_ends_at(None), tmp_path)
    first, last = (json.loads(line)["divergence"] for line in (tmp_path / "healing.jsonl").read_text().splitlines())
    assert last < first


def test_a_healing_that_diverges_says_so(tmp_path):
    student = tiny_model(1)
    torch.nn.init.constant_(student.get_input_embeddings().weight, math.nan)
    with pytest.raises(TrainingError, match=r"healing diverged at step 1 of 12 .*; lower prune\.learning_rate"):
        heal(student, tiny_model(0), lesson_that_ends_at(None), tmp_path)
