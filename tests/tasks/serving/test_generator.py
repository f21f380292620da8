"""Generation from exported graphs."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.serving.generator import (
    Chooser,
    OnnxModel,
    PromptError,
    Sampling,
    likeliest,
    served_folder,
    whole_characters,
)

ARCHITECTURES = ["qwen3", "gpt2"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request, workshop):
    return OnnxModel(workshop.graph(request.param).folder / "fp32")


def test_it_continues_what_it_has_learned_and_stops_at_the_end_of_text(model):
    made = model.generate(["To install the", "The function"], greedy=True, max_new_tokens=60)
    assert made == [[" package, run pip install gristmill."], [" returns a list of numbers."]]


def test_prompts_of_different_lengths_in_one_call_give_what_each_gives_alone(model):
    prompts = ["The mill", "床前明月光", "The function returns", "To"]
    together = model.generate(prompts, greedy=True)
    assert together == [model.generate([prompt], greedy=True)[0] for prompt in prompts]


def test_rows_that_end_early_do_not_disturb_the_others(model):
    rows = [model.encode("To install the package, run pip install gr"), model.encode("The mill grinds the grain")]
    length = min(map(len, rows))
    rows = [row[:length] for row in rows]
    made = model.generate_tokens([*rows, rows[0]], Sampling(greedy=True, max_new_tokens=40))
    assert made[0] == made[2] == model.generate_tokens([rows[0]], Sampling(greedy=True, max_new_tokens=40))[0]
    assert made[1] == model.generate_tokens([rows[1]], Sampling(greedy=True, max_new_tokens=40))[0]
    assert len(made[0]) != len(made[1])


def test_the_same_seed_gives_the_same_text_and_continuations_differ(model):
    once = model.generate(["The"], seed=4, temperature=2.0, num_continuations=3)
    assert once == model.generate(["The"], seed=4, temperature=2.0, num_continuations=3)
    assert len(set(once[0])) == 3


def test_a_tiny_temperature_and_a_single_candidate_are_greedy(model):
    greedy = model.generate(["The mill"], greedy=True)
    assert model.generate(["The mill"], temperature=1e-4) == greedy
    assert model.generate(["The mill"], top_k=1, temperature=5.0) == greedy
    assert model.generate(["The mill"], top_p=1e-9, temperature=5.0) == greedy


def test_a_stream_adds_up_to_the_text(model):
    pieces = list(model.stream("床前明月光", greedy=True, max_new_tokens=40))
    assert "".join(pieces) == model.generate(["床前明月光"], greedy=True, max_new_tokens=40)[0][0]
    assert "".join(pieces).startswith("，疑是地上霜。")
    assert len(pieces) > 3


def as_bytes(tokens):
    return bytes(tokens).decode(errors="replace")


def test_a_character_waits_for_its_last_byte():
    assert list(whole_characters("a光🙂b".encode(), as_bytes)) == ["a", "光", "🙂", "b"]


def test_a_character_that_never_ends_does_not_hold_back_what_follows():
    start = "光".encode()[:1]
    assert list(whole_characters(start + b"a" + start + b"b" + start, as_bytes)) == ["�a", "�b"]


@given(st.binary(max_size=40))
def test_pieces_add_up_to_the_text_but_for_a_broken_end(data):
    whole = "".join(whole_characters(data, as_bytes))
    assert as_bytes(data).rstrip("�") == whole.rstrip("�")
    assert as_bytes(data).startswith(whole)


def test_a_full_context_ends_the_text(model):
    row = model.encode("The mill")
    made = model.generate_tokens([row], Sampling(greedy=True, max_new_tokens=500), end_token=-1)[0]
    assert len(row) + len(made) == model.settings.context_length


def test_a_prompt_longer_than_the_context_is_an_error_with_both_numbers(model):
    with pytest.raises(PromptError, match=r"the prompt has 101 tokens, and the model takes 63 at most; shorten it"):
        model.generate(["x" * 100])


def test_special_tokens_spelled_in_a_prompt_are_text(model):
    tokens = model.encode("a<|endoftext|>b<|pad|>")
    assert tokens[0] == 0
    assert not {0, 1} & set(tokens[1:])
    assert model.decode(tokens) == "a<|endoftext|>b<|pad|>"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"seed": -1}, "seed is -1; it must be 0 or more"),
        ({"num_continuations": 0}, "num_continuations is 0"),
    ],
)
def test_a_setting_that_cannot_work_is_named(model, setting, message):
    with pytest.raises(PromptError, match=message):
        model.generate(["x"], **setting)


def test_draws_follow_the_distribution_that_top_k_and_top_p_leave():
    logits = np.log(np.array([0.1, 0.4, 0.2, 0.3]))
    chooser = Chooser(Sampling(temperature=1.0, top_k=3, top_p=0.7, seed=0), 0)
    drawn = np.bincount([chooser.choose(logits) for _ in range(4000)], minlength=4) / 4000
    # top_k leaves .4 .3 .2, which are 4/9 3/9 2/9; top_p .7 is reached by the first two: 4/7 and 3/7
    np.testing.assert_allclose(drawn, [0, 4 / 7, 0, 3 / 7], atol=0.03)


def test_the_likeliest_are_in_falling_order_and_equal_ones_in_theirs():
    logits = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
    assert list(likeliest(logits, 3)) == [1, 3, 2]
    assert list(likeliest(logits, 0)) == [1, 3, 2, 0, 4]


@given(st.integers(1, 200), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_likeliest_are_those_of_a_full_sort(top_k, hundreds, seed):
    logits = np.random.default_rng(seed).integers(-50, 50, hundreds * 100 + 7).astype(np.float32)  # many equal ones
    assert list(likeliest(logits, top_k)) == list(np.argsort(-logits, kind="stable")[:top_k])


def test_a_served_folder_and_a_bundle_are_both_found(workshop, tmp_path):
    fp32 = workshop.graph("qwen3").folder / "fp32"
    assert served_folder(fp32) == fp32
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "fp32").symlink_to(fp32)
    (tmp_path / "bundle.json").write_text(json.dumps({"served": "fp32"}))
    assert served_folder(tmp_path) == served_folder(tmp_path, "fp32") == tmp_path / "onnx" / "fp32"
    with pytest.raises(PromptError, match="no variant int4; there is fp32"):
        served_folder(tmp_path, "int4")
    with pytest.raises(PromptError, match="neither a released bundle"):
        served_folder(tmp_path / "nothing")


def test_the_module_imports_numpy_onnxruntime_and_tokenizers_alone():
    others = ("torch", "transformers", "prefect", "mlflow", "pydantic", "pyarrow", "onnx")
    code = f"import sys, tasks.serving.generator; print([name for name in {others} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
