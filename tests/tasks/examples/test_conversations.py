"""Rows of the usual data sets as conversations and preferences."""

import pytest

from tasks.examples.conversations import Message, read_conversation, read_preference
from tasks.formats.records import Unusable

ASKED, ANSWERED = Message("user", "磨坊是做什么的？"), Message("assistant", "磨谷物。")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": ASKED.content}, {"role": "assistant", "content": ANSWERED.content}]},
        {"conversations": [{"from": "human", "value": ASKED.content}, {"from": "gpt", "value": ANSWERED.content}]},
        {"prompt": ASKED.content, "response": ANSWERED.content},
        {"instruction": ASKED.content, "input": "", "output": ANSWERED.content},
    ],
)
def test_the_usual_shapes_say_the_same(row):
    assert read_conversation(row) == (ASKED, ANSWERED)


def test_alpaca_brings_system_history_and_input():
    row = {"instruction": "Add.", "input": "1, 2", "output": "3", "system": "Be brief.", "history": [["Hi", "Hello"]]}
    assert read_conversation(row) == (
        *(Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello")),
        *(Message("user", "Add.\n1, 2"), Message("assistant", "3")),
    )


def test_what_comes_after_the_last_answer_teaches_nothing():
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert read_conversation({"messages": asked}) == (Message("user", "a"), Message("assistant", "b"))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ([1, 2], "no_object"),
        ({"prompt": "a"}, "no_answer"),
        ({"response": "a"}, "no_question"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no_answer"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "no_question"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "bad_role"),
        ({"messages": ["a"]}, "bad_message"),
        ({"prompt": "a", "response": "  "}, "empty"),
        ({"prompt": "a", "response": 3}, "no_text"),
        ({"prompt": "a", "response": "\ud800"}, "no_text"),
    ],
)
def test_a_row_that_is_no_conversation_is_told_why(row, rule):
    with pytest.raises(Unusable) as raised:
        read_conversation(row)
    assert raised.value.rule == rule


def test_preferences_in_plain_text_in_messages_and_without_a_prompt_say_the_same():
    asked = {"role": "user", "content": "a"}
    good, bad = ({"role": "assistant", "content": text} for text in ("b", "c"))
    rows = (
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": [asked], "chosen": [good], "rejected": [bad]},
        {"chosen": [asked, good], "rejected": [asked, bad]},
        {"prompt": "a", "chosen": [asked, good], "rejected": [asked, bad]},
    )
    read = [read_preference(row) for row in rows]
    assert read[1:] == read[:1] * 3
    assert read[0].prompt == (Message("user", "a"),)
    assert (read[0].chosen, read[0].rejected) == ((Message("assistant", "b"),), (Message("assistant", "c"),))


def test_two_answers_that_are_the_same_prefer_nothing():
    with pytest.raises(Unusable, match="the same"):
        read_preference({"prompt": "a", "chosen": "b", "rejected": "b"})
