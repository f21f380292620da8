"""Measure the trained model on the held-out documents."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import EvaluationError
from params.evaluate import EvaluateParams, HarnessParams, QuizParams
from tasks.artifacts.digest import digest_file, write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.evaluation.answers import Talk
    from tasks.evaluation.documents import Documents
    from tasks.kinds.kind import Kind

SPLITS = ("validation", "test")
REPORT, SAMPLES = "evaluation.json", "samples.json"
ANSWERS = "conversations/validation.arrow"
ROWS = "rows/validation.arrow"
"""What a model that is judged by rows says to each."""


def identity(params: EvaluateParams, run: Run, *_inputs: Manifest) -> EvaluateParams:
    """The parameters, with digests in the place of the paths of quizzes and of tasks."""
    quizzes = tuple(quiz.model_copy(update={"path": _digest_of(quiz)}) for quiz in params.quizzes)
    return params.model_copy(update={"quizzes": quizzes, "harness": _known_by_digest(params.harness)})


def check_questions(params: EvaluateParams) -> None:
    """Refuse quizzes and tasks that cannot be asked, before anything is trained."""
    from tasks.evaluation.harness_tasks import read_tasks
    from tasks.evaluation.quizzes import read_quiz

    for quiz in params.quizzes:
        read_quiz(quiz)
    if params.harness is not None:
        read_tasks(params.harness, seed=params.seed)


@stage(version=4, identity=identity)
def evaluate(
    params: EvaluateParams,
    model: Manifest,
    splits: Manifest,
    examples: Manifest | None = None,
    *,
    out: Path,
    run: Run,
) -> Metrics:
    """evaluation.json with all figures by dotted name, and the losses of each document in documents/.

    `examples` are what the last phase learned from: of conversations the held-out answers are measured too; a model
    that writes on no text is measured on the held-out rows alone, and what it says to each is in rows/.
    """
    from tasks.evaluation.naming import numbers_of
    from tasks.kinds.kind import kind_of

    kind = kind_of(model.folder / "model")
    if kind is not None and examples is not None:
        report = _measure_rows(kind, params, model, splits, examples, out=out, run=run)
        headline, speed = kind.headline(report[kind.section]), (report[kind.section]["docs"], "rows")
        counts = {"held_out_rows": report[kind.section]["docs"]}
    else:
        report = _measure_text(params, model, splits, examples, out=out, run=run)
        headline, speed = _headline(report), (sum(report[split]["targets"] for split in SPLITS), "tokens")
        counts = {f"{split}_docs": report[split]["docs"] for split in SPLITS}
    write_atomic(out / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return Metrics(headline=headline, speed=speed, counts=counts, values=numbers_of(report))


def _measure_text(
    params: EvaluateParams, model: Manifest, splits: Manifest, examples: Manifest | None, *, out: Path, run: Run
) -> dict[str, Any]:
    """A model that goes on writing: on the held-out documents, and on held-out conversations where there are some."""
    from tasks.evaluation.evaluating import evaluate_model
    from tasks.evaluation.losses import write_losses
    from tasks.evaluation.trained_model import TrainedModel, chosen_device

    trained = TrainedModel(
        model.folder_with("model/**") / "model",
        threads=run.settings.threads or num_cores(),
        device=chosen_device(run.settings.device),
    )
    sets = {split: held_out(params, splits, split) for split in SPLITS}
    talk = held_out_talk(params, examples, model.folder_with("model/**") / "model") if examples is not None else None
    done = evaluate_model(trained, params, sets, training=splits.paths("train/*.arrow"), talk=talk)
    for split, losses in done.losses.items():
        write_losses(out / "documents" / f"{split}.arrow", losses)
    if done.answers is not None:
        write_losses(out / ANSWERS, done.answers)
    write_atomic(out / SAMPLES, json.dumps(done.samples, indent=1, ensure_ascii=False) + "\n")
    return {"documents": splits.digest, "model": model.digest, **done.report}


def _measure_rows(
    kind: "Kind",
    params: EvaluateParams,
    model: Manifest,
    splits: Manifest,
    examples: Manifest,
    *,
    out: Path,
    run: Run,
) -> dict[str, Any]:
    """A model that is judged by rows: how it does on those that were held out, and whether the text has them."""
    from tasks.evaluation.trained_model import chosen_device
    from tasks.kinds.evaluating import evaluate_rows, some_samples
    from tasks.kinds.rows import held_out_rows, write_scores

    device, threads = chosen_device(run.settings.device), run.settings.threads or num_cores()
    rows = kind.some(held_out_rows(examples.folder, kind.read), params.max_documents)
    trained = kind.trained(model.folder / "model", threads=threads, device=device)
    scores, report = evaluate_rows(kind, trained, rows, params, training=splits.paths("train/*.arrow"))
    write_scores(out / ROWS, scores)
    write_atomic(out / SAMPLES, json.dumps(some_samples(rows, scores), indent=1, ensure_ascii=False) + "\n")
    return {"documents": examples.digest, "model": model.digest, **report}


def held_out(params: EvaluateParams, splits: Manifest, split: str) -> "Documents":
    """The documents of a split that are evaluated; raises EvaluationError where there are none."""
    from tasks.evaluation.documents import choose_documents

    documents = choose_documents(
        splits.paths(f"{split}/*.arrow"), max_documents=params.max_documents, max_bytes=params.max_document_bytes
    )
    if not documents.ids:
        raise EvaluationError(f"the {split} split has no text to evaluate on; raise split.{split} or bring more text")
    return documents


def held_out_talk(params: EvaluateParams, examples: Manifest, template: Path) -> "Talk":
    """The conversations that a stage `encode` held out, as the chat template of a folder renders them."""
    from tasks.evaluation.answers import Talk, choose_conversations

    return Talk(choose_conversations(examples.folder, params.max_documents), template)


def _digest_of(quiz: QuizParams) -> str:
    path = Path(quiz.path).expanduser()
    if not path.is_file():
        raise EvaluationError(f"evaluate.quizzes: {quiz.name}: {path} does not exist; name a .jsonl file")
    return digest_file(path)


def _known_by_digest(harness: HarnessParams | None) -> HarnessParams | None:
    from tasks.evaluation.harness_tasks import digest_folder

    return harness.model_copy(update={"folder": digest_folder(harness)}) if harness is not None else None


def _headline(report: dict[str, Any]) -> str:
    return "; ".join(
        f"{name}: {report[name]['bits_per_byte']:.3f} bits per byte, perplexity {report[name]['perplexity']:,.1f}"
        for name in ("test", "answers")
        if name in report
    )
