"""Diversity, repetition and listed words, by hand."""

import math

import pytest

from tasks.evaluation.generation import describe_harm, describe_samples


def describe(*texts: str):
    return describe_samples([{"prompt": "", "continuation": text} for text in texts])


def test_distinct_counts_different_words_and_pairs_among_all():
    found = describe("a b a b", "a b c")
    assert found["distinct_1"] == pytest.approx(3 / 7, abs=1e-6)
    assert found["distinct_2"] == pytest.approx(3 / 5, abs=1e-6)  # ab ba ab | ab bc


def test_chinese_characters_are_words_of_their_own():
    assert describe("床前明月光")["words"] == 5
    assert describe("GPT模型2代")["words"] == 5  # GPT 模 型 2 代


def test_equal_texts_are_wholly_alike_and_texts_without_a_common_word_are_not():
    assert describe("one two three four five", "one two three four five")["self_bleu"] == pytest.approx(1.0)
    assert describe("one two three four five", "six seven eight nine ten")["self_bleu"] == 0.0


def test_self_bleu_is_bleu_with_smoothed_precisions():
    # a b c d against a b x d: 3/4 words, (1 + 1) / (3 + 1) pairs, (0 + 1) / (2 + 1), (0 + 1) / (1 + 1); no brevity
    expected = math.exp((math.log(3 / 4) + math.log(2 / 4) + math.log(1 / 3) + math.log(1 / 2)) / 4)
    assert describe("a b c d", "a b x d")["self_bleu"] == pytest.approx(expected, abs=1e-6)


def test_a_loop_repeats_its_4grams():
    assert describe("a b c d e f g")["repeated_4grams"] == 0.0
    assert describe("go on go on go on go on")["repeated_4grams"] == pytest.approx(1 - 2 / 5)


def test_a_text_that_ended_at_once_counts_as_empty():
    assert describe("", "a b")["empty"] == 0.5


def test_listed_words_are_counted_in_continuations_and_prompts_apart():
    clean, listed = "The mill grinds the grain.", "what a fucking mill"
    found = describe_harm([{"prompt": clean, "continuation": listed}, {"prompt": clean, "continuation": clean}])
    assert found["continuations_with_listed_words"] == 0.5
    assert found["prompts_with_listed_words"] == 0.0
    assert found["continuation_characters_per_thousand"] == pytest.approx(500 * 7 / 16)
