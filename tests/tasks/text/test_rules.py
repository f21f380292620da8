"""Each rule at its threshold, by numbers counted by hand."""

from typing import get_args

import pyarrow as pa
import pytest

from params.clean import CleanParams
from params.filter_presets import FAMILIES
from params.keys import model_of
from tasks.text.quality import judge_texts
from tasks.text.rules import Verdicts

ALL_OFF = dict.fromkeys(FAMILIES)


def verdicts_of(text: str, params: CleanParams) -> Verdicts:
    return judge_texts(pa.array([text], pa.large_string()), params).verdicts


def first_broken(text: str, params: CleanParams) -> tuple[str, float, float] | None:
    verdicts = verdicts_of(text, params)
    if verdicts.kept[0]:
        return None
    rule = verdicts.rules[verdicts.first[0]]
    return rule.name, float(rule.values[0]), rule.threshold


def with_rule(name: str, threshold: float) -> CleanParams:
    """Every rule off but one."""
    section, field, *size = name.split(".")
    model = model_of(CleanParams.model_fields[section].annotation)
    limits = {key for key, part in model.model_fields.items() if type(None) in get_args(part.annotation)}
    off = dict.fromkeys(limits)
    sizes = model.model_fields[field].default if size else {}
    value = {**dict.fromkeys(sizes), int(size[0]): threshold} if size else threshold
    return CleanParams(**{**ALL_OFF, section: {**off, field: value}})


@pytest.mark.parametrize(
    ("name", "text", "value", "passing", "broken"),
    [
        ("words.min_words", "one two, three", 3, 3, 4),
        ("words.max_words", "one two, three", 3, 3, 2),
        ("words.min_mean_word_length", "ab abcd", 3, 3, 3.1),
        ("words.max_mean_word_length", "ab abcd", 3, 3, 2.9),
        ("words.min_alpha_words", "a b3 4 .", 0.5, 0.5, 0.6),
        ("words.min_stop_words", "The cat and the AND", 2, 2, 3),
        ("characters.min_characters", "床前明月光，疑是地上霜。", 10, 10, 11),
        ("characters.max_characters", "床前明月光，疑是地上霜。", 10, 10, 9),
        ("characters.min_letters", "好！好。", 0.5, 0.5, 0.6),
        ("lines.max_symbols_per_word", "# a # b", 0.5, 0.5, 0.4),
        ("lines.max_symbols_per_word", "好的……", 0.5, 0.5, 0.4),
        ("lines.max_bullet_lines", "- a\n\n• b\n\n\nc\n* d", 0.75, 0.75, 0.7),
        ("lines.max_ellipsis_lines", "a...\nb…\n\nc\nd", 0.5, 0.5, 0.4),
        ("lines.min_mean_line_length", "ab\n\nabcd", 3, 3, 3.1),
        ("lines.max_mean_line_length", "ab\n\nabcd", 3, 3, 2.9),
        ("lines.max_line_length", "ab\n\nabcd", 4, 4, 3),
        ("lines.min_alphanumeric", "a1 .-", 0.5, 0.5, 0.6),
        ("characters.min_unspaced", "好的 ab", 0.5, 0.5, 0.6),
        ("characters.min_stop_words", "我的书在这里。", 2, 2, 3),
        ("repetition.max_duplicate_lines", "a\nb\n\na\nc", 0.25, 0.25, 0.2),
        ("repetition.max_duplicate_line_characters", "aaaa\nb\naaaa\nc", 4 / 13, 4 / 13, 0.3),
        ("repetition.max_duplicate_paragraphs", "a\nb\n\na\nb\n\nc\n\nd", 0.25, 0.25, 0.2),
        ("repetition.max_duplicate_paragraph_characters", "ab\n\nc\n\nab\n", 2 / 10, 0.2, 0.1),
        # "of it" twice: 2 x 5 of 17 characters
        ("repetition.max_top_ngram.2", "of it and of it a", 10 / 17, 10 / 17, 0.5),
        # from the third word on "a b c d e" again, without its blanks: 5 of 19
        ("repetition.max_duplicate_ngrams.5", "a b c d e a b c d e", 5 / 19, 5 / 19, 0.2),
        # three characters twice, blanks between them as between words: 2 x 5 of 6
        ("repetition_unspaced.max_top_ngram.3", "床前明床前明", 2 * 5 / 6, 2, 1.5),
        ("fineweb.min_punctuated_lines", "One.\ntwo\n\nthree\nfour?", 0.5, 0.5, 0.6),
        ("fineweb.max_short_lines", "short\n" + "a" * 31, 0.5, 0.5, 0.4),
        ("fineweb.max_duplicate_line_characters", "ab\ncd\nab", 2 / 6, 2 / 6, 0.3),
        ("fineweb.max_newlines_per_word", "a b\n\nc d", 0.5, 0.5, 0.4),
        ("fineweb_unspaced.max_newlines_per_word", "床前\n明月", 0.25, 0.25, 0.2),
    ],
)
def test_a_rule_rejects_beyond_its_threshold_and_not_at_it(name, text, value, passing, broken):
    assert first_broken(text, with_rule(name, passing)) is None
    assert first_broken(text, with_rule(name, broken)) == (name, pytest.approx(value), broken)


def test_the_families_are_asked_in_the_order_of_fineweb():
    params = CleanParams(preset=["fineweb", "c4", "gopher"])
    families = [rule.name.split(".")[0] for rule in verdicts_of("x", params).rules]
    assert list(dict.fromkeys(families)) == ["empty", "repetition", "words", "lines", "c4", "fineweb"]


def test_the_first_broken_rule_in_order_gives_the_reason():
    assert first_broken("# # #", CleanParams(repetition=None)) == ("words.min_words", 0, 50)


def test_an_ngram_that_occurs_once_repeats_nothing_unless_asked_as_in_datatrove():
    alone = {**ALL_OFF, "repetition": {"max_top_ngram": {2: 0.5}}}
    counted = {**ALL_OFF, "repetition": {"max_top_ngram": {2: 0.5}, "count_single_ngrams": True}}
    assert first_broken("one two", CleanParams(**alone)) is None
    assert first_broken("one two", CleanParams(**counted)) == ("repetition.max_top_ngram.2", 1, 0.5)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_document_is_rejected_even_with_every_rule_off(text):
    assert first_broken(text, CleanParams(**ALL_OFF)) == ("empty", 0, 1)


def test_word_rules_are_not_asked_of_chinese_nor_character_rules_of_english():
    strict = CleanParams(**{**ALL_OFF, "words": {"min_words": 1000}, "characters": {"min_characters": 1000}})
    assert first_broken("床前明月光，疑是地上霜。", strict) == ("characters.min_characters", 10, 1000)
    assert first_broken("plain English", strict) == ("words.min_words", 2, 1000)


def test_stop_words_are_asked_of_latin_script_only():
    params = with_rule("words.min_stop_words", 1)
    assert first_broken("съешь ещё этих мягких булок", params) is None
    assert first_broken("quick brown fox", params) == ("words.min_stop_words", 0, 1)


def test_stop_words_of_another_language_can_be_set():
    off = dict.fromkeys(("min_words", "max_words", "min_mean_word_length", "max_mean_word_length", "min_alpha_words"))
    params = CleanParams(**{**ALL_OFF, "words": {**off, "min_stop_words": 2, "stop_words": ("Und", "der")}})
    assert first_broken("der Hund und die Katze", params) is None
    assert first_broken("the dog and the cat", params) == ("words.min_stop_words", 0, 2)


@pytest.mark.parametrize("params", [CleanParams(), CleanParams(preset=["gopher", "c4", "fineweb"])])
def test_a_batch_without_documents_is_judged(params):
    assert judge_texts(pa.array([], pa.large_string()), params).verdicts.kept.tolist() == []
