"""What suits the model, what suits the text."""

from params.train import ModelParams, StopParams, TrainParams
from tasks.estimation.advice import advise, round_down, short
from tasks.estimation.corpus import Corpus
from tasks.estimation.parameters import count_parameters
from tasks.estimation.plan import token_plan
from tasks.estimation.shape import ModelShape

SHAPE = ModelShape.of(ModelParams(layers=6, width=384, heads=6), vocab_size=4096, context=256)
NUM = count_parameters(SHAPE).total


def advice_for(tokens: int, text_tokens: int | None):
    corpus = Corpus(4096, 3.1, None, text_tokens, None if text_tokens is None else text_tokens // 256, ())
    plan = token_plan(TrainParams(stop=StopParams(max_tokens=tokens)), context=256, num_blocks=corpus.num_blocks)
    return advise(SHAPE, corpus, plan, flops=None)


def test_a_plan_of_twenty_tokens_a_parameter_is_right():
    found = advice_for(20 * NUM, 30 * NUM)
    assert found.optimal_tokens == 20 * NUM
    assert "the plan comes to 100% of that" in found.sentences[0]


def test_a_short_plan_is_told_what_to_set():
    found = advice_for(NUM, 30 * NUM)
    assert found.planned_share is not None
    assert 0.04 < found.planned_share < 0.06
    assert f"set train.stop.max_tokens={round_down(20 * NUM)}" in found.sentences[0]


def test_little_text_asks_for_more_or_for_a_smaller_model():
    found = advice_for(20 * NUM, NUM)
    assert "20 passes over this text: bring more, or take a smaller model" in found.sentences[0]
    assert found.optimal_parameters is not None
    assert found.optimal_parameters < NUM / 4
    assert "set train.model.layers=" in found.sentences[1]
    assert any("beyond 4 it gains ever less" in sentence for sentence in found.sentences)


def test_without_text_only_the_model_is_judged():
    found = advice_for(NUM, None)
    assert (found.optimal_parameters, found.model_for_text) == (None, ())
    assert len(found.sentences) == 1


def test_numbers_are_written_as_people_do():
    assert [short(n) for n in (12_345, 1_234_567, 2e9, 7)] == ["12.3 k", "1.23 M", "2 G", "7"]
    assert [round_down(n) for n in (123_456, 85, 7)] == [120_000, 85, 7]
