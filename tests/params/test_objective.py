"""Objectives and what they need, judged before anything runs."""

import pytest
from pydantic import ValidationError

from params.objective import SpanParams
from params.pipeline import PipelineParams

SOURCES = {"survey": {"sources": [{"name": "a", "path": "a"}]}}
CHATS = {"sources": [{"path": "chats.jsonl"}]}
LABELS = {"train": {"objective": "classify"}, "encode": CHATS}
PAIRS = {"train": {"objective": "seq2seq", "model": {"architecture": "t5"}}, "encode": CHATS}
SPANS = {"train": {"objective": "span_corruption", "model": {"architecture": "t5"}}}


def pipeline(**sections) -> PipelineParams:
    return PipelineParams.model_validate(SOURCES | sections)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"objective": "instruct"}}, "train: instruct learns from examples; name them in encode.sources"),
        ({"train": {"phases": [{"name": "a", "objective": "preference"}]}}, "phase a: preference learns from examples"),
        ({"train": {"model": {"architecture": "t5"}}}, "t5 cannot learn by language_model; set objective to span_corr"),
        (
            {"train": {"objective": "seq2seq"}, "encode": CHATS},
            "seq2seq needs an encoder; set model.architecture to t5",
        ),
        ({"train": {"model": {"lora": {}}}}, "lora adapts existing weights; name them in train.model.from_weights"),
        ({"train": {"phases": [{"name": "a", "lora": {}}]}}, "lora of the first phase adapts existing weights"),
        (
            {"train": {"phases": [{"name": "a", "objective": "classify"}, {"name": "b"}]}, "encode": CHATS},
            "a makes a classifier, which no later phase can go on from",
        ),
        ({"train": {"objective": "instruct"}, "encode": CHATS | {"context": 512}}, "encode.context 512 is over shard"),
        (LABELS | {"prune": {"drop_layers": 1}}, "prune cuts models that go on writing a text, and training ends with"),
        (LABELS | {"export": {"formats": ["gguf"]}}, "a model that learned classify is exported as ONNX and safetenso"),
        (
            LABELS | {"evaluate": {"canaries": {"texts": ["the code is 42"]}}},
            "quizzes, harness and canaries ask a model to write, and training ends with classify",
        ),
        (PAIRS | {"compress": {"variants": ["int4_gptq"]}}, "int4_gptq knows models without an encoder only"),
        (SPANS | {"prune": {"drop_layers": 1}}, "prune cuts models .*, and training ends with span_corruption"),
        (
            SPANS | {"evaluate": {"canaries": {"texts": ["42"]}}},
            "leave them out: it is measured on test text with gaps",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused_with_the_remedy(sections, said):
    with pytest.raises(ValidationError, match=said):
        pipeline(**sections)


def test_a_phase_lays_its_examples_over_the_section():
    phases = [{"name": "a"}, {"name": "b", "objective": "instruct", "encode": {"too_long": "truncate"}}]
    made = pipeline(encode=CHATS | {"validation": 0.3}, train={"phases": phases}, shard={"context": 128})
    found = made.encode_of(made.train.phases[1])
    assert (found.objective, found.context, found.validation, found.too_long) == ("instruct", 128, 0.3, "truncate")
    assert found.sources[0].path == "chats.jsonl"


def test_adapters_belong_to_the_phase_that_names_them():
    phases = [{"name": "a"}, {"name": "b", "lora": {"rank": 4}}, {"name": "c"}]
    made = pipeline(train={"phases": phases})
    assert [step.model.lora and step.model.lora.rank for step in made.steps] == [None, 4, None]
    made = pipeline(train={"model": {"from_weights": "w", "lora": {"rank": 2}}, "phases": phases})
    assert [step.model.lora and step.model.lora.rank for step in made.steps] == [2, 4, None]


def test_the_tokenizer_gets_what_phases_need():
    assert pipeline().tokenizer == pipeline().train_tokenizer
    chats = pipeline(train={"objective": "instruct"}, encode=CHATS)
    assert chats.tokenizer.chat_template == "auto"
    named = pipeline(train={"objective": "instruct"}, encode=CHATS, train_tokenizer={"chat_template": "mine.jinja"})
    assert named.tokenizer.chat_template == "mine.jinja"
    t5 = pipeline(train={"model": {"architecture": "t5"}, "objective": "span_corruption"}, shard={"context": 512})
    assert t5.tokenizer.special_tokens.extra == tuple(f"<extra_id_{number}>" for number in range(26))


def test_spans_are_counted_as_in_the_paper():
    assert (SpanParams().num_dropped(512), SpanParams().num_spans(512)) == (77, 26)
