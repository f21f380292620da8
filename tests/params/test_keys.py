"""Dotted keys of overrides lead where they say, also through mappings whose names have dots."""

from typing import Any

import pytest

from params.errors import ParameterError
from params.keys import known_keys, nested
from params.load import load_params, parse_assignments


@pytest.mark.parametrize(
    ("flat", "tree"),
    [
        ({"train.stop.max_steps": 1, "train.seed": 2}, {"train": {"stop": {"max_steps": 1}, "seed": 2}}),
        ({"train": {"stop.max_steps": 1}}, {"train": {"stop": {"max_steps": 1}}}),
        ({"no.such.key": 1}, {"no": {"such": {"key": 1}}}),
        ({"shard.mixture": {"novels.v2": 3}}, {"shard": {"mixture": {"novels.v2": 3}}}),
        ({"shard.mixture.novels.v2": 3}, {"shard": {"mixture": {"novels.v2": 3}}}),
        ({"clean.repetition.max_top_ngram.2": 0.3}, {"clean": {"repetition": {"max_top_ngram": {"2": 0.3}}}}),
    ],
)
def test_a_dotted_key_is_a_mapping_in_a_mapping_and_names_keep_their_dots(flat: dict[str, Any], tree: dict[str, Any]):
    assert nested(flat) == tree
    assert nested(nested(flat)) == tree


@pytest.mark.parametrize(
    "assignment",
    [
        "release.gate.limits={test.bits_per_byte: {max: 1.6}}",
        "release.gate.limits.test.bits_per_byte={max: 1.6}",
        "release.gate.limits.test.bits_per_byte.max=1.6",
        "release={gate: {limits: {test.bits_per_byte: {max: 1.6}}}}",
    ],
)
def test_a_figure_can_be_given_a_limit_without_a_preset_of_ones_own(assignment: str):
    gate = load_params("tiny", parse_assignments([assignment])).release.gate
    assert {name: limit.max for name, limit in gate.limits.items()} == {"test.bits_per_byte": 1.6}


def test_a_limit_that_is_none_is_refused_with_the_names_of_its_ends():
    with pytest.raises(ParameterError, match=r"unknown key release.gate.limits.test.loss.most; known here: min, max"):
        load_params("tiny", parse_assignments(["release.gate.limits.test.loss={most: 1}"]))


def test_fields_are_known_behind_lists_and_mappings():
    assert "text_field" in known_keys(("survey", "sources", 0))
    assert known_keys(("release", "gate", "limits", "any figure")) == ["min", "max"]
    assert (
        known_keys(("release", "gate", "limits")) == known_keys(("train", "seed")) == known_keys(("no", "such")) == []
    )
