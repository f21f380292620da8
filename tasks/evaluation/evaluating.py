"""Everything that is measured of a model, as one report: the same for a checkpoint, an ONNX file and a released one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from params.evaluate import EvaluateParams
from tasks.evaluation.answers import Talk, answer_figures, answer_losses
from tasks.evaluation.bias import measure_bias, read_pairs
from tasks.evaluation.documents import Documents
from tasks.evaluation.figures import Bootstrap, all_figures
from tasks.evaluation.generation import describe_harm, describe_samples, write_samples
from tasks.evaluation.harness import measure_harness
from tasks.evaluation.harness_tasks import read_tasks, texts_of
from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.losses import DocumentLosses, document_losses
from tasks.evaluation.memorisation import measure_canaries, measure_memorisation
from tasks.evaluation.overlap import measure_contamination
from tasks.evaluation.quizzes import Question, ask, read_quiz


@dataclass(frozen=True)
class Evaluation:
    """What was found."""

    report: dict[str, Any]
    """Sections of evaluation.json; every number in them has a dotted name."""
    losses: dict[str, DocumentLosses]
    """By set of documents."""
    answers: DocumentLosses | None = None
    """Of held-out conversations; None where none were given."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """What the model wrote: prompt and continuation."""


def evaluate_model(
    model: LanguageModel,
    params: EvaluateParams,
    sets: Mapping[str, Documents],
    *,
    training: Sequence[Path],
    talk: Talk | None = None,
) -> Evaluation:
    """Measure a model on sets of documents and on held-out conversations, where there are any.

    `training` are the shards it learned from, where they are at hand.

    Raises EvaluationError where a quiz, a task or a canary cannot be used.
    """
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    quizzes = {quiz.name: read_quiz(quiz) for quiz in params.quizzes}
    tasks = read_tasks(params.harness, seed=params.seed) if params.harness is not None else {}
    losses = {
        name: document_losses(model, documents, batch_tokens=params.batch_tokens) for name, documents in sets.items()
    }
    report: dict[str, Any] = {name: all_figures(found, bootstrap) for name, found in losses.items()}
    answers = _answers(model, params, talk) if talk is not None else None
    samples = list[dict[str, str]]()
    if params.generation is not None and sets:
        samples = write_samples(model, sets[list(sets)[-1]], params.generation, seed=params.seed)
        report |= {"generation": describe_samples(samples), "harm": describe_harm(samples)}
    asked = {name: [_text_of(question) for question in questions] for name, questions in quizzes.items()}
    asked |= {name: texts_of(task) for name, task in tasks.items()}
    if talk is not None:
        asked["conversations"] = [chat.said for chat in talk.conversations.chats]
    report |= dict(_of_training(model, params, sets, asked, training))
    if params.canaries is not None:
        report["canaries"] = measure_canaries(model, params.canaries, seed=params.seed)
    if params.bias:
        report["bias"] = measure_bias(model, read_pairs())
    if quizzes:
        report["quiz"] = {
            quiz.name: ask(model, quiz, quizzes[quiz.name], bootstrap, batch_tokens=params.batch_tokens)
            for quiz in params.quizzes
        }
    if tasks:
        report["harness"] = measure_harness(model, params, tasks)
    if answers is not None:
        report["answers"] = answer_figures(answers, bootstrap)
    return Evaluation(report, losses, answers, samples)


def _answers(model: LanguageModel, params: EvaluateParams, talk: Talk) -> DocumentLosses:
    return answer_losses(model, talk.template, talk.conversations, batch_tokens=params.batch_tokens)


def _of_training(
    model: LanguageModel,
    params: EvaluateParams,
    sets: Mapping[str, Documents],
    asked: Mapping[str, Sequence[str]],
    training: Sequence[Path],
) -> Iterator[tuple[str, Any]]:
    """What can be told only where the training text is at hand."""
    if training and params.memorisation is not None:
        yield "memorisation", measure_memorisation(model, training, params.memorisation)
    if training and params.contamination is not None:
        texts: dict[str, Sequence[str]] = {name: documents.texts for name, documents in sets.items()}
        yield "contamination", measure_contamination(texts | dict(asked), training, params.contamination)


def _text_of(question: Question) -> str:
    """A question with its right answer."""
    return question.prompt + (question.choices[question.answer] if question.choices else question.target)
