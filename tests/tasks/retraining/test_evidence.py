"""When a model is trained again, and from what."""

from dataclasses import replace

import pytest

from params.retrain import RetrainParams
from tasks.retraining.evidence import NewText, Situation, judge

PARAMS = RetrainParams(min_new_tokens=1_000, max_drift=0.3, max_age_days=30)
CALM = Situation(
    new_bytes=2_000,
    old_bytes=100_000,
    champion="models:/m/3",
    age_days=1,
    champion_bits_per_byte=1.5,
    old_bytes_per_token=4.0,
    new_text=NewText(bits_per_byte=1.6, bytes_per_token=4.0),  # 500 tokens, 0.1 bits per byte of drift
)


def test_without_a_champion_everything_is_learned_from_scratch():
    found = judge(PARAMS, Situation(new_bytes=10, old_bytes=0, champion=None))
    assert (found.retrain, found.from_scratch) == (True, True)


def test_without_new_text_nothing_is_trained_however_old_the_champion_is():
    found = judge(PARAMS, replace(CALM, new_bytes=0, new_text=None, age_days=400))
    assert not found.retrain
    assert str(found) == "no training: nothing new since models:/m/3"


def test_without_evidence_each_measure_says_how_far_it_is_from_enough():
    found = judge(PARAMS, CALM)
    assert not found.retrain
    assert found.reasons == (
        "about 500 new tokens, 1,000 asked for",
        "new text costs +0.100 bits per byte more than the test text, limit 0.3",
        "the champion is 1.0 days old, limit 30",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"new_bytes": 4_000}, "about 1,000 new tokens"),
        ({"new_text": NewText(1.8, 4.0)}, "new text costs +0.300"),
        ({"age_days": 30}, "the champion is 30.0 days old"),
    ],
)
def test_each_piece_of_evidence_is_enough_by_itself_and_the_champion_is_built_on(change, reason):
    found = judge(PARAMS, replace(CALM, **change))
    assert (found.retrain, found.from_scratch) == (True, False)
    assert [text for text in found.reasons if text.startswith(reason)]
    assert len(found.reasons) == 1


@pytest.mark.parametrize("measure", ["min_new_tokens", "max_drift", "max_age_days"])
def test_a_measure_that_is_off_says_nothing(measure):
    found = judge(PARAMS.model_copy(update={measure: None}), CALM)
    assert not found.retrain
    assert len(found.reasons) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"new_bytes": 100_001},  # more than the old
        {"new_bytes": 4_000, "new_text": NewText(1.6, 3.1)},  # 0.775 times the bytes per token
        {"new_bytes": 4_000, "withdrawn_docs": 1},
    ],
)
def test_some_findings_make_a_start_from_scratch(change):
    found = judge(PARAMS, replace(CALM, **change))
    assert (found.retrain, found.from_scratch) == (True, True)


def test_withdrawn_text_is_evidence_only_where_that_is_asked_for():
    withdrawn = replace(CALM, new_bytes=0, new_text=None, withdrawn_docs=7)
    assert not judge(PARAMS, withdrawn).retrain
    assert "7 documents" in str(judge(PARAMS, withdrawn))
    asked = judge(PARAMS.model_copy(update={"retrain_on_withdrawal": True}), withdrawn)
    assert (asked.retrain, asked.from_scratch) == (True, True)


def test_new_examples_are_evidence_without_any_new_text():
    found = replace(CALM, new_bytes=0, new_text=None, new_examples=100)
    assert found.only_examples
    judged = judge(PARAMS, found)
    assert (judged.retrain, judged.from_scratch) == (True, False)
    assert judged.reasons == ("100 new examples, 100 asked for",)
    fewer = judge(PARAMS, replace(found, new_examples=99))
    assert not fewer.retrain
    assert fewer.reasons == ("99 new examples, 100 asked for", "the champion is 1.0 days old, limit 30")
    assert judge(PARAMS, replace(found, new_examples=1, age_days=30)).retrain


def test_of_a_champion_that_goes_on_with_no_text_new_tokens_are_counted_and_drift_is_not():
    told = NewText(bits_per_byte=None, bytes_per_token=4.0)
    few = judge(PARAMS, replace(CALM, new_text=told))
    assert few.reasons == ("about 500 new tokens, 1,000 asked for", "the champion is 1.0 days old, limit 30")
    many = judge(PARAMS, replace(CALM, new_text=told, new_bytes=4_000))
    assert str(many) == "from the champion: about 1,000 new tokens, 1,000 asked for"


def test_a_champion_whose_base_is_gone_starts_from_scratch():
    found = judge(PARAMS, replace(CALM, new_bytes=0, new_text=None, new_examples=10_000, has_base=False))
    assert found.from_scratch
    assert found.reasons[-1] == "the store no longer has what the champion was before it learned from examples"
