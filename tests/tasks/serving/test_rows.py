"""Rows of a batch on both kinds of graphs."""

import numpy as np
import pytest

from tasks.serving.generator import OnnxModel, Sampling
from tasks.serving.rows import make_rows, row_bytes

PROMPTS = ["The mill", "床前明月光", "The function returns a list", "To"]


@pytest.fixture(scope="module", params=["qwen3", "gpt2"])
def model(request, workshop):
    return OnnxModel(workshop.graph(request.param).folder / "fp32")


def greedy(model, prompt, count):
    """What the single-request generator makes."""
    sampling = Sampling(greedy=True, max_new_tokens=count)
    return model.generate_tokens([model.encode(prompt)], sampling, end_token=-1)[0]


def read(rows, tokens, pieces=1):
    """The first new token of a text, its prompt read in so many pieces; it joins the batch."""
    rows.begin()
    for piece in np.array_split(tokens, pieces):
        logits = rows.extend(piece.tolist())
    rows.join()
    return int(logits[-1].argmax())


def test_rows_of_different_lengths_go_on_as_each_would_alone(model):
    rows = make_rows(model.session, model.settings, max_rows=4)
    made = [[read(rows, model.encode(prompt))] for prompt in PROMPTS]
    for _ in range(15):
        logits = rows.step([tokens[-1] for tokens in made])
        for tokens, scores in zip(made, logits, strict=True):
            tokens.append(int(scores.argmax()))
    assert made == [greedy(model, prompt, 16) for prompt in PROMPTS]


def test_rows_that_come_and_go_do_not_disturb_the_others(model):
    rows = make_rows(model.session, model.settings, max_rows=4)
    made = {prompt: [read(rows, model.encode(prompt))] for prompt in PROMPTS[:3]}
    order = list(made)

    def step():
        logits = rows.step([made[prompt][-1] for prompt in order])
        for prompt, scores in zip(order, logits, strict=True):
            made[prompt].append(int(scores.argmax()))

    step()
    rows.begin()
    late = model.encode(PROMPTS[3])
    rows.extend(late[:1])
    rows.remove(0)  # while another is being read: the last takes the place of the first
    order = [order[2], order[1]]
    step()
    first = int(rows.extend(late[1:])[-1].argmax())
    rows.join()
    made[PROMPTS[3]] = [first]
    order.append(PROMPTS[3])
    step()
    rows.remove(2)
    order.pop()
    step()
    assert made == {prompt: greedy(model, prompt, len(tokens)) for prompt, tokens in made.items()}


def test_a_prompt_read_in_pieces_gives_the_logits_of_the_whole(model):
    rows = make_rows(model.session, model.settings, max_rows=1)
    tokens = model.encode("The mill grinds the grain into flour")
    rows.begin()
    pieces = np.concatenate([rows.extend(piece.tolist()) for piece in np.array_split(tokens, 4)])
    np.testing.assert_allclose(pieces, model.logits([tokens])[0], atol=1e-4)


def test_an_abandoned_text_leaves_nothing_behind(model):
    rows = make_rows(model.session, model.settings, max_rows=2)
    rows.begin()
    rows.extend(model.encode("床前明月光，疑是地上霜"))
    rows.drop()
    assert read(rows, model.encode("The mill"), pieces=2) == greedy(model, "The mill", 1)[0]


def test_the_memory_of_a_row_is_that_of_its_keys_and_values(workshop):
    model = OnnxModel(workshop.graph("qwen3").folder / "fp32")
    assert row_bytes(model.session, model.settings) == 2 * 2 * 2 * 64 * 16 * 4  # k and v, layers, heads, places, size
