"""Texts with gaps: what is dropped and what is kept are the whole text, in whatever language."""

import re

import pytest

from params.objective import SpanParams
from tasks.examples.gaps import with_gaps

ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody knows why it never walks around."
CHINESE = "今天天气很好，我们一起去公园散步，然后在河边看书。"
GAP = re.compile(r"(<extra_id_\d+>)")


def filled(source: str, target: str) -> str:
    """The text again: each sentinel of the source replaced by what follows it in the target."""
    parts = GAP.split(target)
    dropped = dict(zip(parts[1::2], parts[2::2], strict=True))
    return GAP.sub(lambda found: dropped[found[0]], source)


@pytest.mark.parametrize(
    "text", [ENGLISH, CHINESE, f"{ENGLISH}\n\n{CHINESE}", "カタカナ ひらがな 漢字 and words, too."]
)
def test_source_and_target_together_are_the_text(text):
    for seed in range(20):
        row = with_gaps(text, SpanParams(), max_words=1_000, seed=seed)
        assert filled(row["source"], row["target"]) == text.rstrip()


def test_17_words_lose_three_in_one_gap():
    row = with_gaps(ENGLISH, SpanParams(), max_words=1_000, seed=1)  # 15 % of 17 is 2.55, a third of 3 is 1
    (dropped,) = GAP.split(row["target"])[2::2]
    assert len(dropped.split()) == 3
    assert row["source"].count("<extra_id_0>") == 1


def test_a_chinese_character_is_a_word():
    row = with_gaps("一" * 40, SpanParams(), max_words=20, seed=1)  # 15 % of 20 is 3
    assert row == {"source": "一" * row["source"].index("<") + "<extra_id_0>", "target": "<extra_id_0>一一一"}


def test_texts_that_are_too_short_or_spell_a_sentinel_are_left_out():
    assert with_gaps("one two three four five six seven", SpanParams(), max_words=100, seed=1) is None
    assert with_gaps(f"{ENGLISH} <extra_id_0>", SpanParams(), max_words=100, seed=1) is None


def test_the_same_seed_drops_the_same_and_another_one_does_not():
    made = [with_gaps(f"{ENGLISH} " * 3, SpanParams(), max_words=100, seed=seed) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
