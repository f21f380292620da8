"""Which models are compared at all."""

from types import SimpleNamespace

from tasks.compare import ANSWERS_DIGEST, GAPS, other_kind

TEXT = SimpleNamespace(tags={})
CHAT = SimpleNamespace(tags={ANSWERS_DIGEST: "1f"})
FILLS = SimpleNamespace(tags={GAPS: "40"})


def test_a_model_that_only_goes_on_writing_does_not_replace_one_that_answers():
    assert other_kind(TEXT, CHAT) == (
        "the champion answers conversations, and this model's training ended with plain text"
    )
    assert [other_kind(*pair) for pair in ((TEXT, TEXT), (CHAT, TEXT), (CHAT, CHAT))] == [None, None, None]


def test_a_model_that_fills_gaps_does_not_replace_one_that_learned_pairs_and_the_other_way_round_it_may():
    assert other_kind(FILLS, TEXT) == (
        "the champion writes a text for a text, and this model's training ended with filling gaps"
    )
    assert [other_kind(*pair) for pair in ((FILLS, FILLS), (TEXT, FILLS))] == [None, None]
