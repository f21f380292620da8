"""Bodies of requests: what is refused, and with which words."""

import pytest

from tasks.serving.api_error import ApiError
from tasks.serving.openai_types import ChatRequest, CompletionRequest, parse, parse_either

REFUSED = {
    b'{"prompt": "a", "temperature": NaN}': "the body is no JSON in UTF-8",
    b'{"prompt": "a", "temperature": -Infinity}': "the body is no JSON in UTF-8",
    b'{"prompt": "a", "temperature": 1e999}': "the body is no JSON in UTF-8",
    b'{"prompt": "\\ud800"}': "the body is no JSON in UTF-8: no low surrogate",
    b'{"prompt": "\xff"}': "the body is no JSON in UTF-8",
    b"\xef\xbb\xbf": "the body is no JSON in UTF-8",
    b"[" * 100_000: "the body is no JSON in UTF-8",
    b"": "the body is no JSON in UTF-8",
    b"[]": "the body must be a JSON object",
    b"{}": "prompt is missing",
    b'{"prompt": null}': "prompt is None: it must be a text, a list of texts",
    b'{"prompt": []}': "prompt is []: it must be a text",
    b'{"prompt": ["a", 5]}': "prompt is ",
    b'{"prompt": [[1], []]}': "prompt is ",
    b'{"prompt": [-1]}': "prompt is ",
    b'{"prompt": "a", "temperature": -1}': "temperature is -1: input should be greater than or equal to 0",
    b'{"prompt": "a", "temperature": "0.5"}': "temperature is '0.5': input should be a valid number",
    b'{"prompt": "a", "top_p": 0}': "top_p is 0: input should be greater than 0",
    b'{"prompt": "a", "n": 0}': "n is 0: input should be greater than or equal to 1",
    b'{"prompt": "a", "n": true}': "n is True: input should be a valid integer",
    b'{"prompt": "a", "max_tokens": -5}': "max_tokens is -5",
    b'{"prompt": "a", "max_tokens": 1e30}': "max_tokens is 1e+30: input should be a valid integer",
    b'{"prompt": "a", "max_tokens": 0}': "max_tokens of 0 makes nothing without echo",
    b'{"prompt": "a", "seed": 99999999999999999999}': "seed is ",
    b'{"prompt": "a", "stop": ""}': "stop is '': it must be a text or a list of up to 16; none may be empty",
    b'{"prompt": "a", "stop": ["a", ""]}': "stop is ",
    b'{"prompt": "a", "logprobs": 21}': "logprobs is 21",
    b'{"prompt": "a", "logit_bias": {"5": 101}}': "logit_bias.5 is 101",
    b'{"prompt": "a", "best_of": 4}': "best_of is 4",
    b'{"prompt": "a", "tempreature": 1}': "tempreature: no such parameter",
}


@pytest.mark.parametrize(("body", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_body_that_cannot_be_is_refused_with_the_field_and_the_value(body, message):
    with pytest.raises(ApiError) as raised:
        parse(body, CompletionRequest)
    assert raised.value.status == 400
    assert raised.value.message.startswith(message)
    assert len(raised.value.message) < 300


def test_chats_are_refused_likewise():
    for body, message in {
        b'{"messages": []}': "messages is []",
        b'{"messages": [{"role": "pirate", "content": "x"}]}': "messages.0.role is 'pirate'",
        b'{"messages": [{"role": "user", "content": 5}]}': "messages.0.content is 5: it must be a text or a list",
        b'{"messages": [{"role": "user", "content": "x"}], "tools": []}': "tools: no such parameter",
        b'{"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2}': "top_logprobs needs logprobs: true",
    }.items():
        with pytest.raises(ApiError) as raised:
            parse(body, ChatRequest)
        assert raised.value.message.startswith(message)


def test_prompts_come_as_texts_or_as_tokens():
    for given, expected in (
        ('"a"', ["a"]),
        ('["a", "b"]', ["a", "b"]),
        ("[1, 2]", [[1, 2]]),
        ("[[1], [2]]", [[1], [2]]),
    ):
        assert parse(b'{"prompt": %s}' % given.encode(), CompletionRequest).prompts == expected


def test_a_body_with_messages_is_a_chat():
    chat = parse_either(
        b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}'
    )
    assert isinstance(chat, ChatRequest)
    assert chat.messages[0].text == "ab"
    assert isinstance(parse_either(b'{"prompt": "a"}'), CompletionRequest)
