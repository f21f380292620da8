"""Phases of training as parameters."""

import pytest
from pydantic import ValidationError

from params.train import OptimizerParams, PhaseParams, StopParams, TrainParams

BASE = TrainParams(optimizer=OptimizerParams(lr=0.002, weight_decay=0.1), stop=StopParams(max_steps=9), batch_blocks=4)


def test_a_phase_is_the_section_with_its_own_values_laid_over_it():
    phase = PhaseParams(name="two", optimizer=OptimizerParams(lr=0.001), stop=StopParams(max_epochs=2), seed=7)
    params = BASE.of_phase(phase)
    assert params.optimizer == OptimizerParams(lr=0.001, weight_decay=0.1)
    assert params.stop == StopParams(max_epochs=2)
    assert (params.seed, params.batch_blocks, params.phases) == (7, 4, ())


def test_a_phase_without_values_of_its_own_is_the_section():
    assert BASE.of_phase(PhaseParams(name="one", approve=True)) == BASE


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([{"name": "a"}, {"name": "a"}], "two are called 'a'"),
        ([{"name": "A b"}], "name"),
        ([{"name": "a", "micro_blocks": 3}], "micro_blocks 3 must divide batch_blocks 8"),
        ([{"name": "a", "schedule": {"name": "cosine"}, "stop": {"max_minutes": 1}}], "cosine"),
    ],
)
def test_phases_that_cannot_be_are_refused_before_anything_runs(phases, said):
    with pytest.raises(ValidationError, match=said):
        TrainParams(phases=phases)
