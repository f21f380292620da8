"""Each rule at its threshold, by numbers counted by hand."""

import pyarrow as pa
import pytest

from params.clean import CharacterRules, CleanParams, LineRules, WordRules
from tasks.text.measures import measure
from tasks.text.rules import judge

ALL_OFF = {
    "words": WordRules(**dict.fromkeys(set(WordRules.model_fields) - {"stop_words"})),
    "characters": CharacterRules(**dict.fromkeys(CharacterRules.model_fields)),
    "lines": LineRules(**dict.fromkeys(LineRules.model_fields)),
}
SECTIONS = {"words": WordRules, "characters": CharacterRules, "lines": LineRules}


def first_broken(text: str, params: CleanParams) -> tuple[str, float, float] | None:
    verdicts = judge(params, measure(pa.array([text], pa.large_string()), params.words.stop_words))
    if verdicts.kept[0]:
        return None
    rule = verdicts.rules[verdicts.first[0]]
    return rule.name, float(rule.values[0]), rule.threshold


def with_rule(name: str, threshold: float) -> CleanParams:
    """Every rule off but one."""
    section, field = name.split(".")
    return CleanParams(**{**ALL_OFF, section: ALL_OFF[section].model_copy(update={field: threshold})})


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
        ("lines.max_duplicate_lines", "a\nb\n\na\nc", 0.25, 0.25, 0.2),
        ("lines.max_duplicate_line_characters", "aaaa\nb\naaaa\nc", 0.4, 0.4, 0.3),
    ],
)
def test_a_rule_rejects_beyond_its_threshold_and_not_at_it(name, text, value, passing, broken):
    assert first_broken(text, with_rule(name, passing)) is None
    assert first_broken(text, with_rule(name, broken)) == (name, pytest.approx(value), broken)


def test_every_threshold_of_the_parameters_is_a_rule():
    params = CleanParams()
    verdicts = judge(params, measure(pa.array(["x"], pa.large_string()), ()))
    fields = [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields]
    assert [rule.name for rule in verdicts.rules] == ["empty", *(name for name in fields if name != "words.stop_words")]


def test_the_first_broken_rule_in_order_gives_the_reason():
    assert first_broken("# # #", CleanParams()) == ("words.min_words", 0, 50)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_document_is_rejected_even_with_every_rule_off(text):
    assert first_broken(text, CleanParams(**ALL_OFF)) == ("empty", 0, 1)


def test_word_rules_are_not_asked_of_chinese_nor_character_rules_of_english():
    strict = CleanParams(
        words=WordRules(min_words=1000), characters=CharacterRules(min_characters=1000), lines=ALL_OFF["lines"]
    )
    assert first_broken("床前明月光，疑是地上霜。", strict) == ("characters.min_characters", 10, 1000)
    assert first_broken("plain English", strict) == ("words.min_words", 2, 1000)


def test_stop_words_are_asked_of_latin_script_only():
    params = with_rule("words.min_stop_words", 1)
    assert first_broken("съешь ещё этих мягких булок", params) is None
    assert first_broken("quick brown fox", params) == ("words.min_stop_words", 0, 1)


def test_stop_words_of_another_language_can_be_set():
    words = ALL_OFF["words"].model_copy(update={"min_stop_words": 2, "stop_words": ("Und", "der")})
    params = CleanParams(**{**ALL_OFF, "words": words})
    assert first_broken("der Hund und die Katze", params) is None
    assert first_broken("the dog and the cat", params) == ("words.min_stop_words", 0, 2)


def test_a_batch_without_documents_is_judged():
    verdicts = judge(CleanParams(), measure(pa.array([], pa.large_string()), ()))
    assert verdicts.kept.tolist() == []
