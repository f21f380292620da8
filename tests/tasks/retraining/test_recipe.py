"""A training that starts from the champion: what is replayed, and when it ends."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.load import load_params
from params.train import PhaseParams
from tasks.retraining.recipe import replay_bytes, replay_mixture, warm_recipe, whole_mixture


def test_old_text_has_the_share_that_was_asked_for_and_sources_keep_their_sizes():
    mixture = replay_mixture(None, {"a": 3_000, "b": 1_000, "a:new": 100, "c:new": 300}, replay=0.2)
    assert mixture == pytest.approx({"a": 0.15, "b": 0.05, "a:new": 0.2, "c:new": 0.6})


def test_where_there_is_less_old_text_than_its_share_all_of_it_is_taken():
    mixture = replay_mixture(None, {"a": 100, "a:new": 900}, replay=0.5)
    assert mixture == pytest.approx({"a": 0.1, "a:new": 0.9})


def test_weights_of_the_preset_hold_within_old_and_within_new_text():
    mixture = replay_mixture({"a": 3, "b": 1}, {"a": 10, "b": 990, "a:new": 500, "b:new": 500}, replay=0.4)
    assert mixture == pytest.approx({"a": 0.3, "b": 0.1, "a:new": 0.45, "b:new": 0.15})


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 0.99))
def test_shares_add_up_to_one(old, new, replay):
    assert sum(replay_mixture(None, {"a": old, "a:new": new}, replay=replay).values()) == pytest.approx(1.0)


def test_from_scratch_a_source_keeps_its_weight_shared_by_size():
    assert whole_mixture({"a": 3, "b": 1}, {"a": 100, "a:new": 50, "b": 7}) == pytest.approx(
        {"a": 2.0, "a:new": 1.0, "b": 1.0}
    )


def test_a_warm_start_has_the_champions_weights_and_tokenizer_and_ends_after_an_epoch():
    p = load_params("tiny", {"train.stop": {"max_steps": 60, "max_epochs": 5}})
    warm = warm_recipe(p, start="models:/m/3", tokenizer=Path("/champion"), sizes={"text": 900, "text:new": 100})
    assert warm.train.model.from_weights == "models:/m/3"
    assert warm.train.model.layers is None  # the weights bring their own shape
    assert warm.train_tokenizer.from_path == "/champion"
    assert (warm.train.stop.max_epochs, warm.train.stop.max_steps) == (1.0, 60)
    assert warm.shard.mixture == pytest.approx({"text": 0.3, "text:new": 0.7})
    assert warm.shard.max_repeats == 1.0
    assert warm.shard.shuffle_seed is not None


def test_phases_replay_in_their_own_proportions():
    phases = (PhaseParams(name="first"), PhaseParams(name="second", mixture={"a": 1, "b": 3}))
    p = load_params("tiny")
    p = p.model_copy(update={"train": p.train.model_copy(update={"phases": phases})})
    sizes = {"a": 10_000, "b": 10_000, "a:new": 50, "b:new": 50}
    warm = warm_recipe(p, start="models:/m/3", tokenizer=Path("/champion"), sizes=sizes)
    assert [phase.name for phase in warm.train.phases] == ["first", "second"]
    assert warm.train.phases[0].mixture is None
    assert warm.train.phases[1].mixture == pytest.approx({"a": 0.075, "b": 0.225, "a:new": 0.175, "b:new": 0.525})


CHAT = {
    "encode.sources": [{"path": "/chats.jsonl"}],
    "train.stop": {"max_steps": 60},
    "train.phases": [
        {"name": "pretrain", "stop": {"max_epochs": 4}},
        {"name": "instruct", "objective": "instruct", "stop": {"max_epochs": 3}},
        {"name": "prefer", "objective": "preference"},
    ],
}
GIVEN = {"from_weights": "/given", "layers": None, "width": None, "heads": None}


def test_phases_of_examples_follow_the_text_as_they_are_set():
    warm = warm_recipe(load_params("tiny", CHAT), start="/base", tokenizer=Path("/champion"), sizes={"text": 900})
    steps = warm.steps
    assert [step.objective for step in steps] == ["language_model", "instruct", "preference"]
    assert [step.stop.max_epochs for step in steps] == [1.0, 3, None]  # only passes over text are limited
    assert (steps[0].model.from_weights, steps[2].stop.max_steps) == ("/base", 60)


def test_for_new_examples_alone_only_the_phases_that_learn_from_them_run_again():
    p = load_params("tiny", CHAT)
    recipe = warm_recipe(p, start="/base", tokenizer=Path("/champion"), sizes={"text": 900}, only_examples=True)
    assert [(phase.name, phase.objective) for phase in recipe.train.phases] == [
        ("instruct", "instruct"),
        ("prefer", "preference"),
    ]
    assert recipe.train.model.from_weights == "/base"


def test_adapters_of_a_phase_that_is_left_out_are_left_out_with_it():
    p = load_params("tiny", CHAT | {"train.model": GIVEN | {"lora": {"rank": 4}}})
    recipe = warm_recipe(p, start="/base", tokenizer=Path("/champion"), sizes={"text": 900}, only_examples=True)
    assert [step.model.lora for step in recipe.steps] == [None, None]


def test_where_all_phases_adapt_given_weights_they_adapt_the_same_ones_again():
    overrides = CHAT | {"train.model": GIVEN, "train.phases": CHAT["train.phases"][1:]}
    p = load_params("tiny", overrides)
    warm = warm_recipe(p, start="/base", tokenizer=Path("/champion"), sizes={"text": 900})
    assert warm.train == p.train


def test_old_text_is_kept_for_as_often_as_new_text_may_be_read():
    """Three parts old to seven new, a quarter more; four passes where the preset's own mixture allows as many."""
    p = load_params("tiny", {"retrain.replay": 0.3})
    assert replay_bytes(p, 70_000_000) == 37_500_000
    mixed = load_params("tiny", {"retrain.replay": 0.3, "shard.mixture": {"text": 1.0}, "shard.max_repeats": 4.0})
    assert replay_bytes(mixed, 70_000_000) == 150_000_000
    assert replay_bytes(p, 0) == 16_000_000
