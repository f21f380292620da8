"""Continuous batching, without a thread and with one."""

import queue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.serving.batch import Batch, Job, Text
from tasks.serving.engine import BrokenEngineError, Engine, QueueFullError
from tasks.serving.generator import OnnxModel, Sampling
from tasks.serving.rows import make_rows
from tasks.serving.sampling import Rule

GREEDY = Rule(temperature=0)
PROMPTS = ["The mill", "床前明月光", "The function returns a list", "To", "To install the package", "x"]
ROOM = 64


@pytest.fixture(scope="module")
def model(workshop):
    return OnnxModel(workshop.graph("qwen3").folder / "fp32")


def make_batch(model, max_rows=3, prefill_tokens=5):
    return Batch(make_rows(model.session, model.settings, max_rows=max_rows), max_rows, prefill_tokens)


def job(model, prompt, max_tokens=8, rule=GREEDY, **more):
    return Job(tuple(model.encode(prompt)), rule, max_tokens, frozenset((0,)), **more)


def text_of(model, *arguments, **more):
    return Text(job(model, *arguments, **more), room=ROOM)


def run(batch, texts=(), late=()):
    """Tokens and ends of all texts; those of `late` arrive one by one between the steps."""
    made = {text: ([], []) for text in (*texts, *late)}
    batch.waiting.extend(texts)
    late = list(late)
    while not batch.is_idle or late:
        if late:
            batch.waiting.append(late.pop(0))
        for text, emission in batch.step():
            made[text][0].extend([emission.token.token] if emission.token else [])
            made[text][1].extend([emission.finish] if emission.finish else [])
    return [made[text] for text in made]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(PROMPTS), st.integers(1, 70)), min_size=1, max_size=8),
    st.integers(0, 8),
    st.integers(1, 4),
    st.integers(1, 40),
)
def test_what_a_text_becomes_does_not_depend_on_the_others(model, wanted, first, max_rows, prefill_tokens):
    texts = [text_of(model, prompt, size) for prompt, size in wanted]
    made = run(make_batch(model, max_rows, prefill_tokens), texts[:first], texts[first:])
    for (prompt, size), (tokens, ends) in zip(wanted, made, strict=True):
        alone = model.generate_tokens([model.encode(prompt)], Sampling(greedy=True, max_new_tokens=size))[0]
        assert tokens == alone
        is_full = len(tokens) == min(size, ROOM - len(model.encode(prompt)))
        assert ends == (["length"] if is_full else ["stop"])


def test_a_seed_gives_what_the_single_request_generator_gives(model):
    rule = Rule(temperature=1.5, top_k=40, top_p=0.9, seed=3)
    texts = [text_of(model, "The", 12, Rule(temperature=1.5, top_k=40, top_p=0.9, seed=3, index=i)) for i in range(3)]
    made = run(make_batch(model), [text_of(model, "To", 12, rule)], texts)[1:]
    sampling = Sampling(temperature=1.5, top_k=40, top_p=0.9, seed=3, max_new_tokens=12)
    assert [tokens for tokens, _ in made] == model.generate_tokens([model.encode("The")] * 3, sampling)


def test_a_long_prompt_is_read_between_the_steps_of_the_others(model):
    batch = make_batch(model, prefill_tokens=4)
    short, long = text_of(model, "To", 30), text_of(model, "The mill grinds the grain into flour, and the", 2)
    batch.waiting.extend([short])
    batch.step()
    batch.waiting.append(long)
    pieces = -(-len(long.job.prompt) // 4)
    for _ in range(pieces - 1):
        assert [text for text, _ in batch.step()] == [short]
    assert next(text for text, _ in batch.step()) is long


def test_a_cancelled_text_is_let_go_wherever_it_is(model):
    batch = make_batch(model, max_rows=2, prefill_tokens=3)
    texts = [text_of(model, prompt, 40) for prompt in PROMPTS[:4]]
    batch.waiting.extend(texts)
    while not (batch.active and batch.reading and batch.waiting):
        batch.step()
    for text in texts:
        text.cancel()
    assert batch.step() == []
    assert batch.is_idle
    assert (
        run(batch, [text_of(model, "To install the")])[0][0]
        == model.generate_tokens([model.encode("To install the")], Sampling(greedy=True, max_new_tokens=8))[0]
    )


def test_the_probabilities_of_a_prompt_are_those_of_the_model_without_a_cache(model):
    text = text_of(model, "The mill grinds", 0, Rule(temperature=0, top_logprobs=2), scores_prompt=True)
    batch = make_batch(model, prefill_tokens=3)
    batch.waiting.append(text)
    emitted = []
    while not batch.is_idle:
        emitted += [emission for _, emission in batch.step()]
    (emission,) = emitted
    tokens = text.job.prompt
    logits = model.logits([tokens])[0].astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert emission.finish == "length"
    assert [scored.token for scored in emission.prompt] == list(tokens)
    assert emission.prompt[0].logprob is None
    for place, scored in enumerate(emission.prompt[1:]):
        assert scored.logprob == pytest.approx(expected[place, tokens[place + 1]], abs=1e-4)
        assert [token for token, _ in scored.top] == list(np.argsort(-expected[place])[:2])


def test_an_engine_takes_all_texts_of_a_request_or_none(model):
    batch, steps = make_batch(model, max_rows=1), queue.SimpleQueue()
    engine = Engine(batch, room=ROOM, max_queue=2, deliver=steps.put)
    with pytest.raises(QueueFullError):
        engine.submit([job(model, "To")] * 4)
    texts = engine.submit([job(model, "To install the", 20)] * 3)
    made = {text: [] for text in texts}
    ended = 0
    while ended < 3:
        for text, emission in steps.get(timeout=1800):
            made[text].append(emission)
            ended += emission.finish is not None
    engine.close()
    assert not engine.thread.is_alive()
    assert len({tuple(e.token.token for e in emissions if e.token) for emissions in made.values()}) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_step_that_fails_ends_every_text_and_takes_no_more(model):
    batch, steps = make_batch(model), queue.SimpleQueue()
    engine = Engine(batch, room=ROOM, max_queue=2, deliver=steps.put)
    beyond = Job((10**6,), GREEDY, 4, frozenset())  # no such token: onnxruntime raises
    texts = engine.submit([beyond, job(model, "To")])
    lost = steps.get(timeout=1800)
    assert {text for text, _ in lost} == set(texts)
    assert {emission.finish for _, emission in lost} == {"error"}
    engine.thread.join(timeout=1800)
    with pytest.raises(BrokenEngineError):
        engine.submit([job(model, "To")])
