"""Questions of the user's own: multiple choice, cloze and written answers, from a JSON lines file."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from params.errors import EvaluationError
from params.evaluate import QuizParams
from tasks.evaluation.figures import Bootstrap, share_interval
from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.losses import batches_by_length
from tasks.shards.blocks import evenly

_MATCHES = ("exact", "contains", "regex")


@dataclass(frozen=True)
class Question:
    """One line of a quiz."""

    prompt: str
    choices: tuple[str, ...] = ()
    answer: int = 0
    target: str = ""
    match: str = "exact"


def read_quiz(params: QuizParams) -> list[Question]:
    """The questions that are asked; raises EvaluationError naming file, line and what is wrong there."""
    path = Path(params.path).expanduser()
    if not path.is_file():
        raise EvaluationError(f"evaluate.quizzes: {params.name}: {path} does not exist; name a .jsonl file")
    found = list[Question]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            found.append(_question(line, params, f"{path}:{number}"))
    if not found:
        raise EvaluationError(f"evaluate.quizzes: {params.name}: {path} has no question; write one JSON object a line")
    return [found[index] for index in evenly(len(found), params.max_questions).tolist()]


def ask(
    model: LanguageModel, params: QuizParams, questions: Sequence[Question], bootstrap: Bootstrap, *, batch_tokens: int
) -> dict[str, Any]:
    """Accuracy with its interval, and what else the kind of quiz tells."""
    figures: dict[str, Any] = {"questions": len(questions)}
    if params.kind == "multiple_choice":
        nats = _end_nats(model, [(q.prompt, choice) for q in questions for choice in q.choices], batch_tokens)
        return figures | _choices(questions, nats, bootstrap)
    if params.kind == "cloze":
        nats = _end_nats(model, [(question.prompt, question.target) for question in questions], batch_tokens)
        size = sum(len(question.target.encode()) for question in questions)
        figures["bits_per_byte"] = round(sum(nats) / size / float(np.log(2)), 6)
    right = [
        _is_right(question, text) for question, text in zip(questions, _answers(model, params, questions), strict=True)
    ]
    return figures | _accuracy("accuracy", right, bootstrap)


def _choices(questions: Sequence[Question], nats: Sequence[float], bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracy by the likelihood of each choice, as it is and per byte of the choice (as lm-eval's acc, acc_norm)."""
    plain, by_byte, start = list[bool](), list[bool](), 0
    for question in questions:
        mine = np.array(nats[start : start + len(question.choices)])
        sizes = np.array([len(choice.encode()) for choice in question.choices])
        plain.append(int(mine.argmin()) == question.answer)
        by_byte.append(int((mine / sizes).argmin()) == question.answer)
        start += len(question.choices)
    chance = float(np.mean([1 / len(question.choices) for question in questions]))
    return {
        **_accuracy("accuracy", plain, bootstrap),
        **_accuracy("accuracy_per_byte", by_byte, bootstrap),
        "chance": round(chance, 6),
    }


def _accuracy(name: str, right: Sequence[bool], bootstrap: Bootstrap) -> dict[str, float]:
    hits, count = sum(right), len(right)
    low, high = share_interval(hits, count, bootstrap)
    return {name: round(hits / count, 6), f"{name}_low": round(low, 6), f"{name}_high": round(high, 6)}


def _end_nats(model: LanguageModel, pairs: Sequence[tuple[str, str]], batch_tokens: int) -> list[float]:
    """Cross-entropy of the second text of each pair after the first, tokenized as one text.

    The tokens of the end are those from the first that differs from the beginning's own on, so that a token which
    spans both counts as end. Of a text longer than the context the beginning is cut.
    """
    rows, starts = list[list[int]](), list[int]()
    for before, after in pairs:
        alone, whole = model.encode(before), model.encode(before + after)
        same = next((i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), len(alone))
        row = [model.begin, *whole]
        cut = max(0, len(row) - model.context - 1)
        rows.append(row[cut:])
        starts.append(max(0, min(same, len(whole) - 1) - cut))
    nats = [0.0] * len(rows)
    for batch in batches_by_length(rows, batch_tokens):
        for place, losses in zip(batch, model.target_nats([rows[place] for place in batch]), strict=True):
            nats[place] = float(losses[starts[place] :].sum())
    return nats


def _answers(model: LanguageModel, params: QuizParams, questions: Sequence[Question]) -> Iterator[str]:
    """What the model writes, greedily; of a cloze as much as the target has."""
    for question in questions:
        cloze = params.kind == "cloze"
        new = len(model.encode(question.target)) if cloze else params.new_tokens
        row = [model.begin, *model.encode(question.prompt)][-(model.context - min(new, model.context - 1)) :]
        (made,) = model.continuations([row], new=new)
        yield model.decode(made)


def _is_right(question: Question, text: str) -> bool:
    if question.match == "regex":
        return re.search(question.target, text) is not None
    if question.match == "contains":
        return question.target in text
    return text.strip() == question.target.strip()


def _question(line: str, params: QuizParams, place: str) -> Question:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise EvaluationError(f"{place}: no JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
        raise EvaluationError(f"{place}: has no text named prompt; its keys are {_keys(row)}")
    if params.kind == "multiple_choice":
        choices, answer = row.get("choices"), row.get("answer")
        if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c for c in choices):
            raise EvaluationError(f"{place}: choices must be a list of two texts or more; its keys are {_keys(row)}")
        if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
            raise EvaluationError(f"{place}: answer is {answer!r}; it must be the number of a choice, from 0")
        return Question(row["prompt"], tuple(choices), answer)
    target, match = row.get("target"), row.get("match", params.match if params.kind == "generation" else "exact")
    if not isinstance(target, str) or not target.strip():
        raise EvaluationError(f"{place}: has no text named target; its keys are {_keys(row)}")
    if match not in _MATCHES:
        raise EvaluationError(f"{place}: match is {match!r}; it must be {', '.join(_MATCHES)}")
    _check_pattern(target, match, place)
    return Question(row["prompt"], target=target, match=match)


def _check_pattern(target: str, match: str, place: str) -> None:
    if match == "regex":
        try:
            re.compile(target)
        except re.error as error:
            raise EvaluationError(f"{place}: target {target!r} is no regular expression ({error})") from None


def _keys(row: Any) -> str:
    return ", ".join(row) if isinstance(row, dict) else "none, it is no object"
