"""Questions of the user's own, asked of a model that knows a few sentences by heart."""

import json

import pytest
import torch

from params.errors import EvaluationError
from params.evaluate import QuizParams
from tasks.evaluation.figures import Bootstrap
from tasks.evaluation.locating import locate_model
from tasks.evaluation.quizzes import ask, read_quiz

BOOTSTRAP = Bootstrap(100, 0.95, 1)


@pytest.fixture(scope="module")
def model(workshop):
    return locate_model(workshop.model("qwen3").folder).load(threads=1, device=torch.device("cpu"))


def quiz(tmp_path, kind, *rows, **changes):
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return QuizParams(name="quiz", path=str(path), kind=kind, **changes)


def asked(model, params):
    return ask(model, params, read_quiz(params), BOOTSTRAP, batch_tokens=256)


def test_the_likelier_choice_is_taken(model, tmp_path):
    right = {"prompt": "To install the package, run", "choices": [" the baker", " pip install"], "answer": 1}
    wrong = {"prompt": "The function returns a", "choices": [" list of numbers.", " mill"], "answer": 1}
    found = asked(model, quiz(tmp_path, "multiple_choice", right, wrong))
    assert (found["questions"], found["accuracy"], found["accuracy_per_byte"], found["chance"]) == (2, 0.5, 0.5, 0.5)
    assert found["accuracy_low"] <= 0.5 <= found["accuracy_high"]


def test_a_cloze_tells_whether_the_end_comes_and_how_likely_it_is(model, tmp_path):
    known = {"prompt": "To install the package, run pip", "target": " install gristmill."}
    unknown = {"prompt": "To install the package, run pip", "target": " the moonlight"}
    assert asked(model, quiz(tmp_path, "cloze", known))["accuracy"] == 1.0
    bits = [asked(model, quiz(tmp_path, "cloze", row))["bits_per_byte"] for row in (known, unknown)]
    assert bits[0] < 1 < bits[1]
    assert asked(model, quiz(tmp_path, "cloze", unknown))["accuracy"] == 0.0


def test_written_answers_are_compared_whole_in_part_or_by_pattern(model, tmp_path):
    prompt = {"prompt": "To install the"}
    rows = [
        {**prompt, "target": "package, run pip install gristmill."},
        {**prompt, "target": "package"},
        {**prompt, "target": "pip install", "match": "contains"},
        {**prompt, "target": r"run \w+ install", "match": "regex"},
    ]
    assert asked(model, quiz(tmp_path, "generation", *rows))["accuracy"] == 0.75


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("cloze", "{", r"quiz\.jsonl:1: no JSON"),
        ("cloze", {"question": "x"}, "has no text named prompt; its keys are question"),
        ("cloze", {"prompt": "x"}, "has no text named target; its keys are prompt"),
        ("multiple_choice", {"prompt": "x", "choices": ["a"]}, "choices must be a list of two texts or more"),
        ("multiple_choice", {"prompt": "x", "choices": ["a", "b"], "answer": 2}, "answer is 2; it must be the number"),
        ("generation", {"prompt": "x", "target": "(", "match": "regex"}, "is no regular expression"),
        (
            "generation",
            {"prompt": "x", "target": "y", "match": "alike"},
            "match is 'alike'; it must be exact",
        ),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, kind, row, said):
    with pytest.raises(EvaluationError, match=said):
        read_quiz(quiz(tmp_path, kind, row))


def test_an_empty_and_a_missing_file_are_told(tmp_path):
    with pytest.raises(EvaluationError, match="has no question"):
        read_quiz(quiz(tmp_path, "cloze"))
    with pytest.raises(EvaluationError, match=r"gone\.jsonl does not exist"):
        read_quiz(QuizParams(name="gone", path=str(tmp_path / "gone.jsonl"), kind="cloze"))
