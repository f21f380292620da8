"""Continuing texts in this process."""

from itertools import islice

import pytest

from params.errors import ParameterError
from tasks.serving.chat_template import Message
from tasks.serving.local import LocalModel

PROMPTS = ["To install the", "The function", "床前明月光"]


@pytest.fixture(scope="module")
def model(bundle):
    return LocalModel(bundle)


def texts(pieces, number):
    made = [""] * number
    for piece in pieces:
        made[piece.index] += piece.text
    return made


def test_prompts_together_give_what_the_bundle_gives_each(model):
    sampling = model.sampling(greedy=True, max_new_tokens=40)
    tokens = [model.prompt_tokens(prompt, "here") for prompt in PROMPTS]
    expected = [made[0] for made in model.model.generate(PROMPTS, greedy=True, max_new_tokens=40)]
    assert texts(model.run(tokens, sampling), 3) == expected


def test_continuations_with_a_seed_are_those_of_the_bundle_whatever_else_is_asked(model):
    changes = {"seed": 2, "temperature": 1.9, "top_k": 0, "top_p": 1.0, "max_new_tokens": 10}
    tokens = [model.prompt_tokens(prompt, "here") for prompt in ("床", "The")]
    made = texts(model.run(tokens, model.sampling(**changes), num_continuations=2), 4)
    assert made[2:] == model.model.generate(["The"], num_continuations=2, **changes)[0]


def test_texts_are_begun_as_there_is_room_so_their_number_is_free(model):
    changes = {"seed": 2, "max_new_tokens": 3}
    tokens = [model.prompt_tokens("The", "here")]
    pieces = model.run(tokens, model.sampling(**changes), num_continuations=10**12)
    ended = {piece.index for piece in islice((piece for piece in pieces if piece.finish), 40)}
    assert ended <= set(range(40 + 16))
    few = texts(model.run(tokens, model.sampling(**changes), num_continuations=40), 40)
    assert few == model.model.generate(["The"], num_continuations=40, **changes)[0]


def test_a_stop_sequence_may_be_the_very_first_token(model):
    tokens = [model.prompt_tokens("To install the", "here")] * 3
    pieces = list(model.run(tokens, model.sampling(greedy=True), stops=(" ",)))
    assert [piece.finish for piece in pieces] == ["stop"] * 3


def test_a_stop_sequence_ends_a_text(model):
    tokens = [model.prompt_tokens("To install the", "here")]
    pieces = list(model.run(tokens, model.sampling(greedy=True), stops=(" pip",)))
    assert texts(pieces, 1) == [" package, run"]
    assert pieces[-1].finish == "stop"


def test_an_answer_ends_where_its_turn_does_and_a_text_goes_on(model):
    tokens = [model.chat_tokens([Message("user", "How?")])]
    assert texts(model.run(tokens, model.sampling(greedy=True), answers=True), 1) == [
        " package, run pip install gristmill."
    ]


def test_a_conversation_that_does_not_fit_loses_its_oldest_turns(model):
    turns = [Message("system", "s"), *[Message(role, "on") for _ in range(6) for role in ("user", "assistant")]]
    kept = model.chat_tokens([*turns, Message("user", "How?")])
    assert len(kept) < 64
    text = model.model.tokenizer.decode(list(kept), skip_special_tokens=False)
    assert text.startswith("<|endoftext|>system: s<|pad|>\nuser: on")
    assert text.endswith("user: How?<|pad|>\nTo install the")


def test_what_cannot_be_continued_is_named_with_its_place(model, workshop):
    with pytest.raises(
        ParameterError, match=r"a\.txt:3: the prompt has 201 tokens .* the model takes 63 at most; shorten"
    ):
        model.prompt_tokens("x" * 200, "a.txt:3")
    with pytest.raises(ParameterError, match="prompt 1: not text in UTF-8"):
        model.prompt_tokens("\udcff", "prompt 1")
    with pytest.raises(ParameterError, match="no chat template"):
        LocalModel(workshop.graph("qwen3").folder / "fp32").chat_tokens([Message("user", "x")])
    with pytest.raises(ParameterError, match="neither a released bundle"):
        LocalModel(workshop.run.store.root)
