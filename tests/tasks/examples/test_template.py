"""Rendered conversations against transformers' own rendering; answers and nothing else are learned."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from params.errors import ParameterError
from tasks.examples.conversations import Message
from tasks.examples.encoding import IGNORED, make_coder
from tasks.examples.template import ChatTemplate
from tasks.formats.records import Unusable
from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import CHATML, SpecialTokens, markers_in

TEXTS = ["The mill grinds grain.", "磨坊把谷物磨成面粉。", "user assistant system\n"] * 4
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
CHAT = [
    {"role": "user", "content": "What is <|im_end|> and <|endoftext|>?\n"},
    {"role": "assistant", "content": "A marker, 记号。"},
    {"role": "user", "content": "谢谢"},
    {"role": "assistant", "content": "\nWelcome."},
]


def tokenizer_with(folder: Path, template: str) -> Path:
    special = SpecialTokens(extra=markers_in(template))
    made = train_bpe([TEXTS], vocab_size=330, min_frequency=1, digits="single", special=special)
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(made, special, folder, chat_template=template)
    return folder


@pytest.fixture(scope="module")
def chatml(tmp_path_factory) -> Path:
    return tokenizer_with(tmp_path_factory.mktemp("chatml"), CHATML)


def encoded(folder: Path, row: object, *, context: int = 256, truncate: bool = False):
    (made,) = make_coder("instruct", folder, context=context, truncate=truncate).encode([row])
    return made


def test_the_tokens_are_those_with_which_transformers_asks_the_model(chatml):
    (side,) = encoded(chatml, {"messages": CHAT[:2]}).sides
    theirs = AutoTokenizer.from_pretrained(chatml)
    plain = theirs.apply_chat_template(CHAT[:2], sanitize_control_tokens=True, return_dict=False)
    tokens = [*side.inputs.tolist(), side.targets[-1]]
    assert tokens == plain[: len(tokens)]
    assert theirs.decode(plain[len(tokens) :]) == "\n"  # what the template writes behind the end is no answer


def test_the_answers_and_their_ends_are_learned_and_nothing_else(chatml):
    (side,) = encoded(chatml, {"messages": CHAT}).sides
    theirs = AutoTokenizer.from_pretrained(chatml)
    learned = theirs.decode([token for token in side.targets.tolist() if token != IGNORED])
    assert learned == "A marker, 记号。<|im_end|>\nWelcome.<|im_end|>"
    before = side.targets.tolist().index(next(t for t in side.targets.tolist() if t != IGNORED))
    assert theirs.decode(side.inputs[: before + 1].tolist()).endswith("<|im_start|>assistant\n")


def test_the_spelling_of_a_special_token_in_what_a_person_wrote_stays_text(chatml):
    (side,) = encoded(chatml, {"messages": CHAT}).sides
    theirs = AutoTokenizer.from_pretrained(chatml)
    ends = [token for token in side.inputs.tolist() if token == theirs.convert_tokens_to_ids("<|im_end|>")]
    assert len(ends) == 3  # two questions and the first answer; the last is a target only
    assert side.inputs.tolist().count(theirs.bos_token_id) == 1


def test_another_template_ends_answers_with_its_own_token_and_the_blank_before_it(tmp_path):
    folder = tokenizer_with(tmp_path, LLAMA)
    template = ChatTemplate(folder)
    runs = template.runs([Message("user", "a"), Message("assistant", "b")])
    assert [run.text for run in runs if run.is_learned] == ["b", " ", "<|endoftext|>"]
    assert template.end == 0
    with pytest.raises(Unusable, match="only user and assistant"):
        template.runs([Message("system", "x"), Message("user", "a"), Message("assistant", "b")])


def test_a_template_that_strips_is_followed_and_one_that_rewrites_refused(tmp_path):
    stripping = tokenizer_with(tmp_path / "strip", CHATML.replace("message.content", "message.content | trim"))
    runs = ChatTemplate(stripping).runs([Message("user", " a "), Message("assistant", "\nb")])
    assert next(run.text for run in runs if run.is_learned) == "b"
    rewriting = tokenizer_with(tmp_path / "upper", CHATML.replace("message.content", "message.content | upper"))
    with pytest.raises(ParameterError, match="does not render a plain conversation"):
        ChatTemplate(rewriting)


def test_a_template_without_an_end_of_answers_is_refused(tmp_path):
    folder = tokenizer_with(tmp_path, "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
    with pytest.raises(ParameterError, match="no special token ends an answer"):
        ChatTemplate(folder)


def test_a_conversation_longer_than_the_context_is_rejected_or_cut(chatml):
    row = {"prompt": "grain", "response": "面粉" * 40}
    refused = encoded(chatml, row, context=32)
    assert refused.rule == "too_long"
    cut = encoded(chatml, row, context=32, truncate=True)
    assert cut.truncated
    assert len(cut.sides[0].inputs) == 32
    asked_too_much = encoded(chatml, {"prompt": "面粉" * 40, "response": "grain"}, context=32, truncate=True)
    assert asked_too_much.rule == "too_long"  # no answer is left


def test_a_tokenizer_without_a_template_is_told_what_to_set(tmp_path):
    folder = tokenizer_with(tmp_path, CHATML)
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "chat_template"}))
    with pytest.raises(ParameterError, match=r"set train_tokenizer\.chat_template to chatml"):
        ChatTemplate(folder)
