"""Filter presets: what they turn on, what lies over them, and the error that names the remedy."""

import json

import pytest

from params.clean import CleanParams
from params.errors import ParameterError
from params.filter_presets import FAMILIES, FILTER_PRESETS
from params.load import load_params


def families_of(params: CleanParams) -> set[str]:
    return {family for family in FAMILIES if getattr(params, family) is not None}


@pytest.mark.parametrize("name", FILTER_PRESETS)
def test_every_preset_is_valid_and_turns_on_its_families_only(name: str):
    assert families_of(CleanParams(preset=name)) == set(FILTER_PRESETS[name])


def test_presets_combine_and_later_ones_lie_over_earlier_ones():
    params = CleanParams(preset=["gopher", "documentation", "c4"])
    assert families_of(params) == {"repetition", "repetition_unspaced", "words", "characters", "lines", "c4"}
    assert params.words.min_alpha_words == 0.5


def test_what_is_set_lies_over_the_preset_and_null_turns_a_family_off():
    params = CleanParams(preset="gopher", words={"min_words": 7}, lines=None)
    assert (params.words.min_words, params.words.max_words, params.lines) == (7, 100_000, None)


def test_one_size_of_ngrams_can_be_set_on_the_command_line_and_keeps_the_others():
    params = load_params("tiny", {"clean.preset": "gopher", "clean.repetition.max_top_ngram.2": 0.5})
    assert params.clean.repetition.max_top_ngram == {2: 0.5, 3: 0.18, 4: 0.16}


def test_dumped_parameters_are_read_back_the_same():
    params = CleanParams(preset=["gopher", "chinese-web-text"], words={"min_words": 7})
    assert CleanParams.model_validate(json.loads(params.model_dump_json())) == params


def test_the_published_thresholds_are_those_of_the_presets():
    gopher, chinese = CleanParams(preset="gopher"), CleanParams(preset="fineweb2-zh")
    assert gopher.repetition.max_duplicate_ngrams == {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    assert list(chinese.repetition_unspaced.max_top_ngram.values()) == [0.256, 0.201, 0.171]
    assert len(chinese.characters.stop_words) == 22


@pytest.mark.parametrize("preset", [1, True, 0.5, {"gopher": 1}])
def test_what_is_no_name_of_a_preset_is_refused_with_those_there_are(preset: object):
    with pytest.raises(ParameterError, match=r"it must be a name or a list of names: .*gopher"):
        load_params("tiny", {"clean": {"preset": preset}})


def test_a_list_in_a_list_of_presets_is_refused():
    with pytest.raises(ParameterError, match=r"no filter preset named \['gopher'\]; did you mean gopher\?"):
        load_params("tiny", {"clean": {"preset": [["gopher"]]}})


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(ParameterError, match=r"clean: no filter preset named 'gofer'; did you mean gopher\?"):
        load_params("tiny", {"clean.preset": "gofer"})
