"""The figures that people compare first."""

import pytest

from flows.labels import key_figures
from tasks.artifacts.manifest import Manifest, Metrics


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"test.bits_per_byte": 1.5, "test.loss": 3.0, "answers.bits_per_byte": 0.5},
            {"all/test_bits_per_byte": 1.5, "all/answers_bits_per_byte": 0.5},
        ),
        (
            {"classification.accuracy": 0.9, "classification.macro_f1": 0.8, "classification.log_loss": 0.3},
            {"all/accuracy": 0.9, "all/macro_f1": 0.8},
        ),
        (
            {"sequences.exact_match": 0.25, "sequences.bits_per_byte": 2.0},
            {"all/exact_match": 0.25, "all/targets_bits_per_byte": 2.0},
        ),
    ],
)
def test_a_model_of_any_kind_is_told_by_the_figures_that_decide_about_it(values, expected):
    made = Manifest.pending("evaluate").model_copy(update={"metrics": Metrics(values=values)})
    assert key_figures({"evaluate": made}) == expected
